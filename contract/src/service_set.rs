//! Rules for the services of an image as a whole: their names, and what they need of each other.

use crate::service::ServiceSpec;
use std::collections::BTreeMap;

/// Services by name.
pub type Specs = BTreeMap<String, ServiceSpec>;

/// Largest service file that is read, in bytes.
pub const MAX_SIZE: u64 = 64 * 1024;
/// What is wrong with a name that [`is_name`] refuses.
pub const NAME_RULE: &str =
    "invalid service name: expected letters, digits, _ . -, and none of `init`, `kernel`, `bless`, `slots`";
/// Names that are not allowed: init has logs with these names.
const RESERVED: [&str; 4] = ["init", "kernel", "bless", "slots"];

/// Whether a service may have this name. It becomes the name of a control group, and a name in the control protocol.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(good) && !RESERVED.contains(&name)
}

/// Why a service can never start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeedFault {
    /// It needs a service that does not exist, or that cannot start.
    #[error("service {name}: needs service {need}, which does not exist or cannot start")]
    Unknown {
        /// The service.
        name: String,
        /// The needed service.
        need: String,
    },
    /// It needs itself, directly or through other services.
    #[error("service {}: needs itself: {}", circle[0], circle.join(" needs "))]
    Circle {
        /// From the service back to itself.
        circle: Vec<String>,
    },
}

impl NeedFault {
    /// The service that can never start.
    #[must_use]
    pub fn service(&self) -> &str {
        match self {
            Self::Unknown { name, .. } => name,
            Self::Circle { circle } => &circle[0],
        }
    }
}

/// Removes every service that can never start, and returns the reasons. Such a service needs itself, directly or through other services;
/// or it needs a service that does not exist or was removed.
#[must_use]
pub fn leave_out_impossible(specs: &mut Specs) -> Vec<NeedFault> {
    let circles: Vec<Vec<String>> = specs.keys().filter_map(|name| circle(specs, name)).collect();
    let mut faults = Vec::new();
    for circle in circles {
        specs.remove(&circle[0]);
        faults.push(NeedFault::Circle { circle });
    }
    loop {
        let unmet = specs.iter().find_map(|(name, spec)| {
            let need = spec.needs.iter().find(|need| !specs.contains_key(*need))?;
            Some((name.clone(), need.clone()))
        });
        let Some((name, need)) = unmet else { return faults };
        specs.remove(&name);
        faults.push(NeedFault::Unknown { name, need });
    }
}

/// The shortest chain of needs from a service back to itself.
fn circle(specs: &Specs, name: &str) -> Option<Vec<String>> {
    let mut seen = vec![name];
    let mut chains = vec![vec![name]];
    while !chains.is_empty() {
        let mut longer = Vec::new();
        for chain in chains {
            let last = *chain.last()?;
            for need in specs.get(last).map(|spec| &spec.needs[..]).unwrap_or_default() {
                let next = [&chain[..], &[need]].concat();
                if need == name {
                    return Some(next.into_iter().map(str::to_owned).collect());
                }
                if !seen.contains(&need.as_str()) {
                    seen.push(need);
                    longer.push(next);
                }
            }
        }
        chains = longer;
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
    fn names_of_other_logs_are_not_names_of_services() {
        for name in RESERVED {
            assert!(
                !is_name(name) && is_name(&format!("{name}1")) && NAME_RULE.contains(&format!("`{name}`")),
                "{name}"
            );
        }
    }

    #[test]
    fn services_that_can_never_start_are_removed() {
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
                    "service d: needs service c, which does not exist or cannot start",
                ],
            ),
            (
                &[("a", &["b"]), ("b", &["x"]), ("c", &[])],
                &["c"],
                &[
                    "service b: needs service x, which does not exist or cannot start",
                    "service a: needs service b, which does not exist or cannot start",
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
