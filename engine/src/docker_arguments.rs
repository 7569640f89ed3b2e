//! Arguments of dockerd that depend on the host's network.

use serde_json::Value;

/// docker's own MTU. A link with a larger one carries it as well.
const USUAL_MTU: u32 = 1500;

/// Arguments that give docker's networks the MTU of the link, if the link's is smaller than docker's own. `settings` is the text of
/// daemon.json: a key there is the user's choice, and docker refuses to start when a key is in both places.
pub(crate) fn mtu_arguments(settings: &str, mtu: u32) -> Vec<String> {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    let is_free = |key: &str| settings.get(key).is_none();
    let mut arguments = Vec::new();
    if mtu < USUAL_MTU {
        // The network of containers that name none.
        if is_free("mtu") {
            arguments.push(format!("--mtu={mtu}"));
        }
        // Networks that users create.
        if is_free("default-network-opts") {
            arguments.push(format!("--default-network-opt=bridge=com.docker.network.driver.mtu={mtu}"));
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_mtu_is_an_argument_unless_the_settings_have_one() {
        assert_eq!(
            mtu_arguments("{}", 1400),
            ["--mtu=1400", "--default-network-opt=bridge=com.docker.network.driver.mtu=1400"]
        );
        assert_eq!(mtu_arguments(r#"{"mtu": 1300, "default-network-opts": {}}"#, 1400), [""; 0]);
        for usual in [1500, 9000] {
            assert_eq!(mtu_arguments("not JSON", usual), [""; 0]);
        }
    }
}
