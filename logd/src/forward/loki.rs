//! Loki's push API: https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs
//!
//! Loki stores a line once that has the labels, the time and the text of a line that it has. So a batch may be sent again without a mark.

use super::{BATCH, CONNECT, Item, SendError, Sender};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_contract::log_config::ForwardConfig;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use ureq::{
    Agent,
    http::header,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 16 << 10;
/// Characters of an answer that a message shows.
const SHOWN: usize = 200;
/// Names of severities.
const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];

/// A client of the push API.
pub struct LokiSender {
    url: String,
    agent: Agent,
    labels: BTreeMap<String, String>,
    authorization: Option<String>,
}

impl std::fmt::Debug for LokiSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LokiSender").field("url", &self.url).finish_non_exhaustive()
    }
}

impl LokiSender {
    /// # Errors
    /// `ca` has no certificate.
    pub fn new(config: &ForwardConfig) -> Result<Self, String> {
        let bundle = std::fs::read("/etc/ssl/certs/ca-certificates.crt").ok();
        let pem = config.ca.clone().map(String::into_bytes).or(bundle);
        let roots = match pem.as_deref().map(certificates) {
            Some(all) if !all.is_empty() => RootCerts::new_with_certs(&all),
            Some(_) if config.ca.is_some() => return Err("ca: expected certificates, found none".into()),
            _ => RootCerts::WebPki,
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("berth-logd/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(BATCH))
            // An answer elsewhere would get the password.
            .max_redirects(0)
            .build()
            .new_agent();
        let authorization = match (&config.token, &config.username, &config.password) {
            (Some(token), ..) => Some(format!("Bearer {token}")),
            (None, Some(user), Some(password)) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            _ => None,
        };
        Ok(Self { url: config.to.clone(), agent, labels: config.labels.clone(), authorization })
    }
}

impl Sender for LokiSender {
    fn send(&mut self, items: &[Item], host: &str) -> Result<(), SendError> {
        let body = body(items, host, &self.labels).to_string();
        let mut request = self.agent.post(&self.url).header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let mut answer = request.send(body.as_bytes()).map_err(|error| SendError::later("cannot send", &error))?;
        let status = answer.status().as_u16();
        if (200..300).contains(&status) {
            // Read the answer, so that the connection can be used again.
            let _ = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
            return Ok(());
        }
        let text = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec().unwrap_or_default();
        let text: String = String::from_utf8_lossy(&text).trim().chars().take(SHOWN).collect();
        let message = format!("HTTP status {status}: {text}");
        match status {
            // Wrong in the settings, or too much at once: the lines are good.
            401 | 403 | 404 | 405 | 407 | 408 | 429 => Err(SendError::Later(message)),
            400..500 => Err(SendError::Never(message)),
            _ => Err(SendError::Later(message)),
        }
    }
}

/// The JSON document of a batch: lines of equal labels are one stream.
#[must_use]
pub fn body(items: &[Item], host: &str, labels: &BTreeMap<String, String>) -> Value {
    let mut streams: BTreeMap<(&str, u8), Vec<Value>> = BTreeMap::new();
    for item in items {
        // Lines of one microsecond stay apart, and a line has the same time when it is sent again.
        let nanos = i128::from(item.wall_us) * 1000 + i128::from(item.place.line % 1000);
        streams.entry((&item.log, item.level.min(7))).or_default().push(json!([nanos.to_string(), item.text]));
    }
    let streams = streams.into_iter().map(|((log, level), values)| {
        let mut stream: BTreeMap<&str, &str> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        stream.insert("host", host);
        stream.insert("level", LEVELS[usize::from(level)]);
        match log.strip_prefix("container:") {
            Some(name) => {
                stream.insert("log", "container");
                stream.insert("container", name);
            }
            None => drop(stream.insert("log", log)),
        }
        json!({ "stream": stream, "values": values })
    });
    json!({ "streams": streams.collect::<Vec<_>>() })
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    parse_pem(pem).filter_map(certificate).collect()
}
