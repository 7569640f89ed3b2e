//! Answers: their bodies and types.

use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use std::convert::Infallible;

/// The body of an answer: all at once, or a stream.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;
/// An answer.
pub(crate) type Answer = Response<Body>;

pub(crate) const JSON: &str = "application/json";
pub(crate) const EVENTS: &str = "text/event-stream";
/// Prometheus text.
pub(crate) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// An answer with this content.
pub(crate) fn content(status: StatusCode, kind: &'static str, bytes: impl Into<Bytes>) -> Answer {
    stream(status, kind, Full::new(bytes.into()).boxed_unsync())
}

/// An answer whose body is a stream.
pub(crate) fn stream(status: StatusCode, kind: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// An answer with JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // Our own types always have a JSON form.
    content(status, JSON, serde_json::to_vec(value).unwrap_or_default())
}

/// An answer without content: it is done.
pub(crate) fn done() -> Answer {
    let mut answer = Response::new(Full::default().boxed_unsync());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
