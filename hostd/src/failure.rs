//! Why a request failed: the status of the answer, and the error in its body. The body is a [`ControlError`], as in the control protocol.

use crate::answer::{Answer, json};
use berth_contract::{
    control::{ControlError, MAX_LINE},
    remote_api::Role,
};
use berth_engine::EngineError;
use hyper::{
    StatusCode,
    header::{ALLOW, HeaderValue, RETRY_AFTER},
};
use std::io;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("there is no such path")]
    NoPath,
    #[error("this path does not know the method; it knows {}", .0.join(", "))]
    Method(Vec<&'static str>),
    #[error("this request needs the role {0}")]
    Forbidden(Role),
    #[error("{key}: expected {expected}, found {found}")]
    Value { key: String, expected: &'static str, found: String },
    #[error("expected a body of {0} bytes at most, found more")]
    TooLong(u64),
    #[error("the body did not arrive within {0} s")]
    Slow(u64),
    #[error("too many requests of this kind run already: {0}")]
    Busy(usize),
    #[error("init does not answer: {0}")]
    Init(#[source] io::Error),
    #[error("init sent no valid answer of at most {MAX_LINE} bytes; expected {0}")]
    Answer(&'static str),
    #[error("{}", .0.message)]
    Refused(ControlError),
    #[error("this host has no container engine")]
    NoEngine,
    #[error("no container has the name {0:?}")]
    NoContainer(String),
    #[error("the container engine: {0}")]
    Engine(#[from] EngineError),
    #[error("expected the header fields `Connection: upgrade` and `Upgrade: {0}`")]
    Upgrade(&'static str),
}

impl Failure {
    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoPath | Self::NoEngine | Self::NoContainer(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Value { .. } => StatusCode::BAD_REQUEST,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Init(_) | Self::Answer(_) | Self::Engine(_) => StatusCode::BAD_GATEWAY,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::Upgrade(_) => StatusCode::UPGRADE_REQUIRED,
        }
    }

    /// The error for the body.
    pub(crate) fn error(&self) -> ControlError {
        let hint = match self {
            Self::Refused(error) => return error.clone(),
            Self::NoPath => Some("GET /v1/openapi.json lists all paths".to_owned()),
            Self::Forbidden(role) => Some(format!("use a certificate with the DNS name {}", role.dns_name())),
            Self::Busy(_) => Some("try again when another one has ended".to_owned()),
            Self::NoContainer(_) => Some("GET /v1/containers lists all containers".to_owned()),
            _ => None,
        };
        ControlError { message: self.to_string(), hint, code: None }
    }

    /// The whole answer.
    pub(crate) fn answer(&self) -> Answer {
        let mut answer = json(self.status(), &self.error());
        let headers = answer.headers_mut();
        match self {
            Self::Method(known) => {
                if let Ok(known) = HeaderValue::from_str(&known.join(", ")) {
                    headers.insert(ALLOW, known);
                }
            }
            Self::Busy(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Upgrade(protocol) => {
                headers.insert(hyper::header::UPGRADE, HeaderValue::from_static(protocol));
            }
            _ => {}
        }
        answer
    }
}
