//! What init answers.

use super::state::Api;
use crate::{
    answer::{Answer, JSON, content, done, json},
    events,
    failure::Failure,
    query::Query,
};
use berth_contract::{
    control::{LogLine, Reply, Request},
    remote_api::{Output, RollbackRequest, UpgradeRequest},
};
use hyper::StatusCode;
use serde_json::Value;

/// The API's document, made by a test from the table of routes.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

pub(super) async fn status(api: &Api) -> Result<Answer, Failure> {
    match api.control.reply(Request::Status).await? {
        Reply::Status(status) => Ok(json(StatusCode::OK, &status)),
        _ => Err(Failure::Answer("the status")),
    }
}

pub(super) async fn network(api: &Api) -> Result<Answer, Failure> {
    match api.control.reply(Request::Status).await? {
        Reply::Status(status) => Ok(json(StatusCode::OK, &status.network.unwrap_or_default())),
        _ => Err(Failure::Answer("the status")),
    }
}

pub(super) async fn boot(api: &Api) -> Result<Answer, Failure> {
    match api.control.reply(Request::Boot).await? {
        Reply::Boot(boot) => Ok(json(StatusCode::OK, &boot)),
        _ => Err(Failure::Answer("the boot's timeline")),
    }
}

pub(super) async fn services(api: &Api) -> Result<Answer, Failure> {
    match api.control.reply(Request::Services).await? {
        Reply::Services(services) => Ok(json(StatusCode::OK, &services)),
        _ => Err(Failure::Answer("the services")),
    }
}

pub(super) async fn restart(api: &Api, service: String) -> Result<Answer, Failure> {
    api.control.done(Request::Restart { service }).await.map(|()| done())
}

pub(super) async fn end(api: &Api, request: Request) -> Result<Answer, Failure> {
    api.control.done(request).await.map(|()| done())
}

pub(super) async fn logs(api: &Api, service: String, query: &Query) -> Result<Answer, Failure> {
    let call = api.control.run(Request::Logs { service, follow: query.flag("follow") }).await?;
    Ok(events::pass_on(call, "line", Some))
}

pub(super) async fn upgrade(api: &Api, wanted: UpgradeRequest) -> Result<Answer, Failure> {
    let call = api.control.run(Request::Run { arguments: wanted.arguments(), input: None }).await?;
    // Each line is an event of the upgrade as JSON. Another line is a warning of a library, and not for clients.
    Ok(events::pass_on(call, "progress", |line: LogLine| serde_json::from_str::<Value>(&line.text).ok()))
}

pub(super) async fn rollback(api: &Api, wanted: RollbackRequest) -> Result<Answer, Failure> {
    let lines = api.control.lines(wanted.arguments()).await?;
    Ok(json(StatusCode::OK, &Output { lines }))
}

/// Runs a command whose output is JSON.
pub(super) async fn output(api: &Api, arguments: &[&str]) -> Result<Answer, Failure> {
    let lines = api.control.lines(arguments.iter().map(|&word| word.to_owned()).collect()).await?;
    Ok(content(StatusCode::OK, JSON, lines.join("\n")))
}

pub(super) fn document() -> Answer {
    content(StatusCode::OK, JSON, DOCUMENT)
}
