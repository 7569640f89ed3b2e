//! The table of what clients can ask for. The API's document (docs/openapi.json) is made from it.

use crate::query::{Kind, Parameter, name};
use berth_contract::remote_api::{CONTROL_PATH, ENGINE_PATH, Role};
use hyper::Method;

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The state of the host.
    Status,
    /// The boot's timeline.
    Boot,
    /// All services.
    Services,
    /// Restarts a service.
    RestartService,
    /// The log of a service.
    Logs,
    /// Slots and boot entries.
    Slots,
    /// Why versions failed.
    Why,
    /// netd's report.
    Network,
    /// An archive for a bug report.
    Support,
    /// Installs a new version.
    Upgrade,
    /// Makes the other version boot next.
    Rollback,
    /// All containers.
    Containers,
    /// The output of a container.
    ContainerLogs,
    /// Restarts a container.
    RestartContainer,
    /// Restarts the host.
    Reboot,
    /// Powers the host off.
    Poweroff,
    /// A tunnel to the control protocol.
    Control,
    /// A tunnel to the engine's API.
    Engine,
    /// Prometheus text.
    Metrics,
    /// The API's document.
    Document,
}

/// The content of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No body.
    Nothing,
    /// JSON of the type with this name.
    Json(Type),
    /// A stream of events: `line` (or `progress`) with data of this type, then `end`, or `error` with an error.
    Events(&'static str, Type),
    /// Text.
    Text,
    /// An archive: tar in zstd.
    Archive,
    /// The connection becomes a tunnel for this protocol.
    Tunnel(&'static str),
}

/// Types of JSON in bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// [`berth_contract::control::StatusReport`]
    Status,
    /// [`berth_contract::control::BootReport`]
    Boot,
    /// A list of [`berth_contract::control::ServiceStatus`]
    Services,
    /// [`berth_contract::control::LogLine`]
    LogLine,
    /// [`berth_contract::update::SlotsReport`]
    Slots,
    /// [`berth_contract::control::NetworkStatus`]
    Network,
    /// An object.
    Object,
    /// [`berth_contract::remote_api::UpgradeRequest`]
    UpgradeRequest,
    /// [`berth_contract::remote_api::RollbackRequest`]
    RollbackRequest,
    /// [`berth_contract::remote_api::Output`]
    Output,
    /// A list of [`berth_contract::remote_api::ContainerInfo`]
    Containers,
    /// [`berth_contract::remote_api::ContainerLine`]
    ContainerLine,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path; a part `{name}` stands for a name.
    pub path: &'static str,
    /// The role that a client needs.
    pub role: Role,
    /// One sentence about it.
    pub about: &'static str,
    /// Parameters of the query.
    pub parameters: &'static [Parameter],
    /// The body of the request.
    pub request: Shape,
    /// The body of the answer.
    pub answer: Shape,
    /// What it does.
    pub action: Action,
}

const fn get(path: &'static str, about: &'static str, answer: Shape, action: Action) -> Route {
    Route { method: "GET", path, role: Role::Read, about, parameters: &[], request: Shape::Nothing, answer, action }
}

const fn post(path: &'static str, about: &'static str, request: Shape, answer: Shape, action: Action) -> Route {
    Route { method: "POST", path, role: Role::Admin, about, parameters: &[], request, answer, action }
}

const FOLLOW: Parameter = Parameter { name: "follow", about: "continue with new lines", kind: Kind::Flag };
const FULL: Parameter = Parameter { name: "full", about: "all lines, not only the last ones", kind: Kind::Flag };
const SINCE: Parameter =
    Parameter { name: "since", about: "only lines since this time, in seconds since 1970", kind: Kind::Number };

/// All routes.
pub const ROUTES: &[Route] = &[
    get("/v1/status", "The state of the host", Shape::Json(Type::Status), Action::Status),
    get("/v1/boot", "The timeline of the boot", Shape::Json(Type::Boot), Action::Boot),
    get("/v1/services", "All services", Shape::Json(Type::Services), Action::Services),
    post(
        "/v1/services/{name}/restart",
        "Stops a service, if it runs, and starts it again",
        Shape::Nothing,
        Shape::Nothing,
        Action::RestartService,
    ),
    Route {
        parameters: &[FOLLOW],
        ..get(
            "/v1/logs/{name}",
            "The output of a service, of `init`, of the `kernel` or of `bless`",
            Shape::Events("line", Type::LogLine),
            Action::Logs,
        )
    },
    get("/v1/slots", "Both slots and their boot entries", Shape::Json(Type::Slots), Action::Slots),
    Route {
        parameters: &[FULL],
        ..get("/v1/why", "Why versions failed on this host", Shape::Json(Type::Object), Action::Why)
    },
    get(
        "/v1/network",
        "Links, addresses, leases, routes and name servers",
        Shape::Json(Type::Network),
        Action::Network,
    ),
    Route {
        role: Role::Admin,
        ..get("/v1/support", "An archive for a bug report, without secrets", Shape::Archive, Action::Support)
    },
    post(
        "/v1/upgrade",
        "Installs the newest version into the other slot",
        Shape::Json(Type::UpgradeRequest),
        Shape::Events("progress", Type::Object),
        Action::Upgrade,
    ),
    post(
        "/v1/rollback",
        "Makes the version in the other slot boot next",
        Shape::Json(Type::RollbackRequest),
        Shape::Json(Type::Output),
        Action::Rollback,
    ),
    get("/v1/containers", "All containers of the engine", Shape::Json(Type::Containers), Action::Containers),
    Route {
        parameters: &[FOLLOW, SINCE],
        ..get(
            "/v1/containers/{name}/logs",
            "The output of a container",
            Shape::Events("line", Type::ContainerLine),
            Action::ContainerLogs,
        )
    },
    post(
        "/v1/containers/{name}/restart",
        "Stops a container and starts it again",
        Shape::Nothing,
        Shape::Nothing,
        Action::RestartContainer,
    ),
    post(
        "/v1/reboot",
        "Shuts the host down in order, then restarts it",
        Shape::Nothing,
        Shape::Nothing,
        Action::Reboot,
    ),
    post(
        "/v1/poweroff",
        "Shuts the host down in order, then powers it off",
        Shape::Nothing,
        Shape::Nothing,
        Action::Poweroff,
    ),
    get(
        CONTROL_PATH,
        "A tunnel to the control protocol; each request in it needs the role that its path here would need",
        Shape::Tunnel(berth_contract::remote_api::CONTROL_PROTOCOL),
        Action::Control,
    ),
    Route {
        role: Role::Admin,
        ..get(
            ENGINE_PATH,
            "A tunnel to the API of the container engine",
            Shape::Tunnel(berth_contract::remote_api::ENGINE_PROTOCOL),
            Action::Engine,
        )
    },
    get("/metrics", "The host's figures as Prometheus text", Shape::Text, Action::Metrics),
    get("/v1/openapi.json", "This document", Shape::Json(Type::Object), Action::Document),
];

/// The route for a request.
#[derive(Debug)]
pub enum Found {
    /// The row, and the name in the path.
    Route(&'static Route, Option<String>),
    /// The path exists, with these other methods.
    Other(Vec<&'static str>),
    /// There is no such path.
    None,
}

/// Looks for the route of a request.
#[must_use]
pub fn find(method: &Method, path: &str) -> Found {
    let mut others = Vec::new();
    for route in ROUTES {
        let Some(name) = matches(route.path, path) else { continue };
        if method.as_str() == route.method {
            return Found::Route(route, name);
        }
        others.push(route.method);
    }
    if others.is_empty() { Found::None } else { Found::Other(others) }
}

/// Whether a path is that of a route; with the name in it, if the route has one.
fn matches(route: &str, path: &str) -> Option<Option<String>> {
    let (mut pattern, mut parts, mut found) = (route.split('/'), path.split('/'), None);
    loop {
        match (pattern.next(), parts.next()) {
            (None, None) => return Some(found),
            (Some("{name}"), Some(part)) => found = Some(name(part)?),
            (Some(word), Some(part)) if word == part => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_paths_of_the_table_are_found() {
        let found = |method: Method, path: &str| match find(&method, path) {
            Found::Route(route, name) => Ok((route.action, name)),
            Found::Other(methods) => Err(methods),
            Found::None => Err(Vec::new()),
        };
        assert_eq!(found(Method::GET, "/v1/status"), Ok((Action::Status, None)));
        assert_eq!(found(Method::GET, "/v1/logs/netd"), Ok((Action::Logs, Some("netd".into()))));
        assert_eq!(found(Method::DELETE, "/v1/status"), Err(vec!["GET"]));
        assert_eq!(found(Method::GET, "/v1/reboot"), Err(vec!["POST"]));
        for path in [
            "/",
            "",
            "*",
            "/v1",
            "/v1/status/",
            "//v1/status",
            "/v1/../v1/status",
            "/V1/status",
            "/v1/%73tatus",
            "/v1/logs/",
            "/v1/logs/a/b",
            "/v1/logs/..",
            "/v1/logs/%2e%2e",
            "/v1/logs/a%2Fb",
            "/v1/./status",
            "/v1/status;x",
        ] {
            assert_eq!(found(Method::GET, path), Err(Vec::new()), "{path}");
        }
    }

    #[test]
    fn what_changes_the_host_is_a_post_for_administrators() {
        for route in ROUTES {
            assert_eq!(
                route.method == "POST",
                route.role == Role::Admin && !matches!(route.action, Action::Engine | Action::Support),
                "{route:?}"
            );
        }
    }
}
