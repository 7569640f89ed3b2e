//! Who needs whom.

use super::ServiceError;
use berth_contract::service::ServiceSpec;
use std::collections::BTreeMap;

type Specs = BTreeMap<String, ServiceSpec>;

/// Takes out every service that could never start: one that needs itself, by whatever way, one that needs what there is not,
/// and so on for those that need it. Says why for each.
pub fn leave_out_impossible(specs: &mut Specs) -> Vec<ServiceError> {
    let circles: Vec<Vec<String>> = specs.keys().filter_map(|name| circle(specs, name)).collect();
    let mut faults = Vec::new();
    for circle in circles {
        specs.remove(&circle[0]);
        faults.push(ServiceError::Circle { circle });
    }
    loop {
        let unmet = specs.iter().find_map(|(name, spec)| {
            let need = spec.needs.iter().find(|need| !specs.contains_key(*need))?;
            Some((name.clone(), need.clone()))
        });
        let Some((name, need)) = unmet else { return faults };
        specs.remove(&name);
        faults.push(ServiceError::UnknownNeed { name, need });
    }
}

/// The shortest way from a service's needs back to itself.
fn circle(specs: &Specs, name: &str) -> Option<Vec<String>> {
    let mut seen = vec![name];
    let mut ways = vec![vec![name]];
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = *way.last()?;
            for need in specs.get(last).map(|spec| &spec.needs[..]).unwrap_or_default() {
                let next = [&way[..], &[need]].concat();
                if need == name {
                    return Some(next.into_iter().map(str::to_owned).collect());
                }
                if !seen.contains(&need.as_str()) {
                    seen.push(need);
                    longer.push(next);
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(needs: &[(&str, &[&str])]) -> Specs {
        let spec = |needs: &[&str]| toml::from_str(&format!("exec = ['/bin/x']\nneeds = {needs:?}")).unwrap();
        needs.iter().map(|(name, needs)| ((*name).to_owned(), spec(needs))).collect()
    }

    #[test]
    fn what_can_start_is_left() {
        for (needs, left, faults) in [
            (&[("a", &["b", "c"][..]), ("b", &["c"]), ("c", &[])][..], &["a", "b", "c"][..], &[][..]),
            (&[("a", &["a"])], &[], &["service a: needs itself: a needs a"]),
            (
                &[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["c"]), ("e", &[])],
                &["e"],
                &[
                    "service a: needs itself: a needs b needs c needs a",
                    "service b: needs itself: b needs c needs a needs b",
                    "service c: needs itself: c needs a needs b needs c",
                    "service d: needs c, which is not a service that can start",
                ],
            ),
            (
                &[("a", &["b"]), ("b", &["x"]), ("c", &[])],
                &["c"],
                &[
                    "service b: needs x, which is not a service that can start",
                    "service a: needs b, which is not a service that can start",
                ],
            ),
        ] {
            let mut specs = specs(needs);
            let found: Vec<String> = leave_out_impossible(&mut specs).iter().map(ToString::to_string).collect();
            assert_eq!(found, faults);
            assert_eq!(specs.keys().collect::<Vec<_>>(), left);
        }
    }
}
