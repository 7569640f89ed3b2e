//! The order of containers: a container comes before the containers that use its network.

use berth_contract::container::{ContainerSpec, NetworkMode};

/// Returns the declared containers in an order in which they can be created, and the containers that cannot be created because they
/// wait for each other in a circle.
#[must_use]
pub(crate) fn in_order(specs: &[ContainerSpec]) -> (Vec<&ContainerSpec>, Vec<&ContainerSpec>) {
    let (mut ordered, mut left): (Vec<&ContainerSpec>, Vec<&ContainerSpec>) = (Vec::new(), specs.iter().collect());
    loop {
        // A container that is not declared was created by a user. Do not wait for it.
        let waits =
            |spec: &&ContainerSpec| network_of(spec).is_some_and(|name| left.iter().any(|other| other.name == name));
        let (waiting, free): (Vec<_>, Vec<_>) = left.iter().copied().partition(waits);
        if free.is_empty() {
            return (ordered, waiting);
        }
        ordered.extend(free);
        left = waiting;
    }
}

/// The container whose network `spec` uses, if it uses another container's network.
#[must_use]
pub(crate) fn network_of(spec: &ContainerSpec) -> Option<&str> {
    match &spec.network {
        NetworkMode::Container(name) => Some(name),
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_come_before_the_containers_that_use_them() {
        let spec = |text: &str| -> ContainerSpec {
            let (name, network) = text.split_once(' ').unwrap();
            toml::from_str(&format!("name = '{name}'\nimage = 'x'\nnetwork = '{network}'")).unwrap()
        };
        for (specs, ordered, circle) in [
            (&["a bridge", "b host"][..], "ab", ""),
            (&["a container:b", "b container:c", "c none"], "cba", ""),
            (&["a container:elsewhere", "b bridge"], "ab", ""),
            (&["a container:b", "b container:a", "c container:c", "d bridge", "e container:a"], "d", "abce"),
        ] {
            let specs: Vec<ContainerSpec> = specs.iter().map(|text| spec(text)).collect();
            let names = |specs: Vec<&ContainerSpec>| specs.iter().map(|spec| spec.name.as_str()).collect::<String>();
            let (found, stuck) = in_order(&specs);
            assert_eq!((names(found).as_str(), names(stuck).as_str()), (ordered, circle));
        }
    }
}
