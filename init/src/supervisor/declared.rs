//! The declared containers, as the status shows them before the workload program has reported.

use crate::config;
use berth_contract::{
    container_state::ContainerState, control::ContainerStatus, host_config::HostConfig, image_spec::ImageSpec,
};

/// Seconds that the engine gives a container for its end by default.
const CONTAINER_STOP: u32 = 10;
/// Seconds that the engine and the other services have in addition, after a bad verdict.
const VERDICT_MORE: u64 = 60;

/// The declared containers before they are started, and how many seconds the services have for their end after a bad verdict.
pub(super) fn declared(config: &HostConfig, image: &ImageSpec) -> (Vec<ContainerStatus>, u64) {
    let containers = config::containers(config, image);
    let longest = containers.iter().filter_map(|spec| spec.stop_timeout).max();
    let status = |spec: berth_contract::container::ContainerSpec| ContainerStatus {
        name: spec.name,
        image: spec.image,
        required: spec.required,
        state: ContainerState::Pending,
        error: None,
    };
    let limit = u64::from(longest.unwrap_or(CONTAINER_STOP)) + VERDICT_MORE;
    (containers.into_iter().map(status).collect(), limit)
}
