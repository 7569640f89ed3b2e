//! Answers requests: finds the route, checks the role, and makes the answer.

mod containers;
mod host;
mod state;
mod support;
mod tunnel;

pub(crate) use state::{Api, Client};

use crate::{
    answer::Answer,
    failure::Failure,
    metrics,
    query::Query,
    routes::{Action, Found, Route, Shape, find},
};
use berth_contract::host_config;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Request,
    body::{Body as _, Incoming},
};
use serde::de::DeserializeOwned;
use std::{convert::Infallible, rc::Rc, time::Duration};
use tokio::time::timeout;

/// Longest body of a request, in bytes: a host.toml.
const MAX_BODY: u64 = host_config::MAX_SIZE;
/// Time limit for the body of a request.
const BODY_PATIENCE: Duration = Duration::from_secs(20);

/// Answers a request.
pub(crate) async fn serve(api: Rc<Api>, client: Rc<Client>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let (label, result) = match find(request.method(), &path) {
        Found::Route(route, name) => (route.path, answer(&api, &client, route, name, request).await),
        Found::Other(methods) => ("other", Err(Failure::Method(methods))),
        Found::None => ("other", Err(Failure::NoPath)),
    };
    let answer = result.unwrap_or_else(|failure| failure.answer());
    api.counters.answered(label, answer.status().as_u16());
    Ok(answer)
}

async fn answer(
    api: &Rc<Api>,
    client: &Rc<Client>,
    route: &'static Route,
    name: Option<String>,
    request: Request<Incoming>,
) -> Result<Answer, Failure> {
    if !client.peer.may(route.role) {
        return Err(Failure::Forbidden(route.role));
    }
    let query = Query::parse(request.uri().query().unwrap_or_default(), route.parameters)?;
    let name = name.unwrap_or_default();
    if route.method == "POST" {
        api.audit.line(format_args!("{} from {}: {} {}", client.peer, client.address, route.path, name));
    }
    match route.action {
        Action::Status => host::status(api).await,
        Action::Boot => host::boot(api).await,
        Action::Services => host::services(api).await,
        Action::RestartService => host::restart(api, name).await,
        Action::Logs => host::logs(api, name, &query).await,
        Action::Slots => host::output(api, &["slots", "--json"]).await,
        Action::Why if query.flag("full") => host::output(api, &["why", "--json", "--full"]).await,
        Action::Why => host::output(api, &["why", "--json"]).await,
        Action::Network => host::network(api).await,
        Action::Support => support::archive(api).await,
        Action::Upgrade => host::upgrade(api, json(route, request).await?).await,
        Action::Rollback => host::rollback(api, json(route, request).await?).await,
        Action::Containers => containers::list(api).await,
        Action::ContainerLogs => containers::logs(api, name, &query).await,
        Action::RestartContainer => containers::restart(api, name).await,
        Action::Reboot => host::end(api, berth_contract::control::Request::Reboot).await,
        Action::Poweroff => host::end(api, berth_contract::control::Request::Poweroff).await,
        Action::Control => tunnel::control(api, client, request).await,
        Action::Engine => tunnel::engine(api, client, request).await,
        Action::Metrics => metrics::answer(&api.control, &api.counters).await,
        Action::Document => Ok(host::document()),
    }
}

/// Reads the JSON body of a request. An absent body stands for an empty object.
async fn json<T: DeserializeOwned>(route: &Route, request: Request<Incoming>) -> Result<T, Failure> {
    debug_assert!(matches!(route.request, Shape::Json(_)));
    // Refuse a long body before the client sends it.
    if request.body().size_hint().lower() > MAX_BODY {
        return Err(Failure::TooLong(MAX_BODY));
    }
    let limit = usize::try_from(MAX_BODY).unwrap_or(usize::MAX);
    let body = timeout(BODY_PATIENCE, Limited::new(request.into_body(), limit).collect()).await;
    let body = body.map_err(|_| Failure::Slow(BODY_PATIENCE.as_secs()))?.map_err(|_| Failure::TooLong(MAX_BODY))?;
    let bytes = body.to_bytes();
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(bytes).map_err(|error| Failure::Value {
        key: "body".to_owned(),
        expected: "JSON of the type in /v1/openapi.json",
        found: error.to_string(),
    })
}
