//! docs/openapi.json, the document of the API (OpenAPI 3.1), is made from the table of routes. `UPDATE=1 cargo test -p berth-hostd document`
//! writes it. Two programs of other projects judge it: one checks the document, the other the running API against it.

use crate::kit::Host;
use berth_contract::{
    control::{BootReport, ControlError, LogLine, NetworkStatus, ServiceStatus, StatusReport},
    remote_api::{ContainerInfo, ContainerLine, Output, RollbackRequest, UpgradeRequest},
    update::SlotsReport,
};
use berth_hostd::{
    query::Kind,
    routes::{ROUTES, Route, Shape, Type},
};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn schema(of: Type, all: &mut SchemaGenerator) -> Schema {
    match of {
        Type::Status => all.subschema_for::<StatusReport>(),
        Type::Boot => all.subschema_for::<BootReport>(),
        Type::Services => all.subschema_for::<Vec<ServiceStatus>>(),
        Type::LogLine => all.subschema_for::<LogLine>(),
        Type::Slots => all.subschema_for::<SlotsReport>(),
        Type::Network => all.subschema_for::<NetworkStatus>(),
        Type::Object => schemars::json_schema!({ "type": "object" }),
        Type::UpgradeRequest => all.subschema_for::<UpgradeRequest>(),
        Type::RollbackRequest => all.subschema_for::<RollbackRequest>(),
        Type::Output => all.subschema_for::<Output>(),
        Type::Containers => all.subschema_for::<Vec<ContainerInfo>>(),
        Type::ContainerLine => all.subschema_for::<ContainerLine>(),
    }
}

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|set| set.definitions_path = "/components/schemas".into());
    let mut all = settings.into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        let item = operation(route, &mut all);
        paths.entry(route.path).or_insert_with(|| json!({}))[route.method.to_lowercase()] = item;
    }
    let schemas: Value = all.take_definitions(true).into();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Berth host", "version": "1",
            "description": "The API of a Berth host. docs/remote.md explains roles, limits and streams of events.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "https://{host}:7443", "variables": { "host": { "default": "localhost" } } }],
        "security": [{ "certificate": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "certificate": { "type": "mutualTLS", "description": "A certificate with the role of the operation" } },
        },
    })
}

fn operation(route: &Route, all: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    if route.path.contains("{name}") {
        let name = json!({ "type": "string", "pattern": "^[A-Za-z0-9_:@-][A-Za-z0-9_.:@-]*$", "maxLength": 256 });
        parameters.push(json!({ "name": "name", "in": "path", "required": true, "schema": name }));
    }
    for one in route.parameters {
        let schema = match one.kind {
            Kind::Flag => json!({ "type": "boolean" }),
            Kind::Number => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        };
        parameters.push(json!({ "name": one.name, "in": "query", "description": one.about, "schema": schema }));
    }
    let (status, answer) = answer(route.answer, all);
    let error = all.subschema_for::<ControlError>();
    let mut operation = json!({
        "summary": route.about,
        "description": format!("Needs the role `{}`.", route.role),
        "operationId": format!("{:?}", route.action),
        "parameters": parameters,
        "responses": {
            status: answer,
            "default": { "description": "Refused", "content": { "application/json": { "schema": error } } },
        },
    });
    if let Shape::Json(of) = route.request {
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema(of, all) } } });
    }
    operation
}

/// Status and description of the answer.
fn answer(shape: Shape, all: &mut SchemaGenerator) -> (&'static str, Value) {
    let content =
        |kind: &str, schema: Value| json!({ "description": "Done", "content": { kind: { "schema": schema } } });
    match shape {
        Shape::Nothing => ("204", json!({ "description": "Done" })),
        Shape::Json(of) => ("200", content("application/json", schema(of, all).into())),
        Shape::Text => ("200", content("text/plain", json!({ "type": "string" }))),
        Shape::Archive => ("200", content("application/zstd", json!({ "type": "string", "format": "binary" }))),
        Shape::Tunnel(protocol) => {
            ("101", json!({ "description": format!("The connection is a tunnel now: {protocol}") }))
        }
        Shape::Events(name, of) => {
            let data =
                json!({ "type": "string", "contentMediaType": "application/json", "contentSchema": schema(of, all) });
            let event = json!({ "type": "string", "enum": [name, "end", "error"] });
            let item = json!({ "type": "object", "properties": { "event": event, "data": data }, "required": ["event", "data"] });
            let mut answer = content("text/event-stream", item);
            answer["description"] = format!(
                "Events `{name}`, each with JSON of this type as data; then `end`, or `error` with a ControlError"
            )
            .into();
            ("200", answer)
        }
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/openapi.json")
}

#[test]
fn the_document_is_that_of_the_routes() {
    let made = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file(), &made).unwrap();
    }
    assert_eq!(fs::read_to_string(file()).unwrap(), made, "make it again: UPDATE=1 cargo test -p berth-hostd document");
}

/// The folder of the judges that ci/openapi installs.
fn judges() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("ci/openapi");
    let said = Command::new(script).output().unwrap();
    let missing = || assert!(std::env::var("CI").as_deref() != Ok("true"), "{}", String::from_utf8_lossy(&said.stderr));
    if !said.status.success() {
        missing();
        return None;
    }
    Some(PathBuf::from(String::from_utf8(said.stdout).unwrap().trim()))
}

#[test]
fn the_document_is_valid_openapi() {
    let Some(judges) = judges() else { return };
    let said = Command::new(judges.join("openapi-spec-validator")).arg(file()).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

#[test]
fn the_api_is_as_the_document_says() {
    let Some(judges) = judges() else { return };
    let mut host = Host::start(json!({}));
    for (name, text) in [("cert", format!("{}{}", host.admin.chain, host.admin.key)), ("ca", host.pki.pem())] {
        fs::write(host.path(name), text).unwrap();
    }
    let mut schemathesis = Command::new(judges.join("schemathesis"));
    schemathesis
        .current_dir(host.dir.path())
        .args(["run", file().to_str().unwrap(), "--url", &format!("https://{}", host.address)])
        .args(["--request-cert", "cert", "--tls-verify", "ca", "--no-color", "--generation-deterministic"])
        // Tunnels are not HTTP, and a followed log has no end.
        .args([
            "--exclude-path",
            "/v1/control",
            "--exclude-path",
            "/v1/engine",
            "--exclude-path-regex",
            "/logs/|/logs$",
        ])
        .args(["--max-examples", "20", "--phases", "examples,coverage,fuzzing", "--request-timeout", "30"]);
    let said = schemathesis.output().unwrap();
    assert!(
        said.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
    host.is_well();
}
