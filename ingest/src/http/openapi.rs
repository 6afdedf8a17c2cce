//! `GET /openapi.json`: what ingest takes and answers, for programs (OpenAPI 3.1). Its limits are the ones that hold.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use bellwire_common::ids::ID_BYTES_MAX;
use bellwire_common::notification;
use bellwire_common::notification::draft::{IGNORED_FIELDS_MAX, IGNORED_NAME_BYTES_MAX};
use bellwire_common::notification::limits::{
    AUTHOR_BYTES_MAX, BODY_BYTES_MAX, COMMENT_BYTES_MAX, ICON_BYTES_MAX, NAME_BYTES_MAX, OBJECT_ID_BYTES_MAX,
    OUTPUT_BYTES_MAX, STATE_MAX, STATE_MIN, TIMESTAMP_SECONDS_MAX, TITLE_BYTES_MAX, TTL_SECONDS_MAX, TTL_SECONDS_MIN,
    TYPE_BYTES_MAX, URL_BYTES_MAX,
};

use crate::alerts::ALERT_USERS_MAX;
use crate::app::USER_LABEL;
use crate::intake::BATCH_ITEMS_MAX;

use super::BODY_BYTES_MAX as REQUEST_BYTES_MAX;
use super::problem::{self, ERRORS_MAX};

pub(super) async fn get() -> Response {
    problem::json(StatusCode::OK, &document())
}

/// The document.
#[must_use]
pub fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bellwire ingest",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("Takes notifications and answers when they are safe. A request has at most {REQUEST_BYTES_MAX} bytes and is not compressed; its content type does not matter. Limits of texts are bytes of UTF-8; a text of that many characters may be longer."),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {}],
        "paths": {
            (notification::PATH): {"post": notifications()},
            "/message": {"post": message()},
            "/v1/alertmanager": {"post": alertmanager(&[])},
            "/v1/alertmanager/{users}": {"post": alertmanager(&[users()])},
            "/openapi.json": {"get": {
                "operationId": "describe",
                "summary": "This document",
                "security": [{}],
                "responses": {
                    "200": {"description": "The document", "content": {"application/json": {"schema": {"type": "object"}}}},
                    "405": {"$ref": "#/components/responses/405"},
                },
            }},
        },
        "components": {
            "securitySchemes": {"token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of the ingest tokens file. Where there is no such file, only senders on the same machine are let in, without a token.",
            }},
            "schemas": schemas(),
            "responses": responses(),
        },
    })
}

fn notifications() -> Value {
    json!({
        "operationId": "notify",
        "summary": "One notification, or a list",
        "requestBody": body(json!({"oneOf": [
            schema("Notification"),
            {"type": "array", "items": schema("Notification"), "maxItems": BATCH_ITEMS_MAX},
        ]}), json!({
            "message": {"value": {"user": "7", "title": "Hello", "body": "It works."}},
            "problem": {"value": {
                "id": "web-1-http-4711", "user": 7, "type": "PROBLEM", "state": 2,
                "host": {"id": "web-1"}, "service": {"id": "HTTP"}, "output": "Connection refused",
            }},
            "list": {"value": [{"user": "7", "title": "One"}, {"user": "8", "title": "Two", "ttl": 60}]},
        })),
        "responses": with_refusals(json!({
            "202": answer("Every notification is safe", "Results"),
            "207": answer("Some are safe: look at each result", "Results"),
            "422": refusal("All of them had expired"),
        })),
    })
}

fn message() -> Value {
    json!({
        "operationId": "message",
        "summary": "What openITCOCKPIT's commands send; names of fields are known in any case",
        "requestBody": body(schema("Message"), json!({"host": {"value": {
            "timestamp": 1_795_000_000, "userId": 7, "type": "host", "hostUuid": "c36b8048-93ce-4385-ac19-ab5c90574b77",
            "state": 1, "notificationtype": "PROBLEM", "output": "no answer",
        }}})),
        "responses": with_refusals(json!({
            "200": answer("It is safe", "Result"),
            "202": answer("It had expired", "Result"),
        })),
    })
}

fn alertmanager(parameters: &[Value]) -> Value {
    let is_for_path = !parameters.is_empty();
    let summary =
        if is_for_path { "A webhook, for the users of the path" } else { "A webhook of Alertmanager or Grafana" };
    let mut operation = json!({
        "operationId": if is_for_path { "alertTo" } else { "alert" },
        "summary": summary,
        "requestBody": body(schema("Webhook"), json!({"firing": {"value": {
            "version": "4", "status": "firing", "externalURL": "http://alertmanager.example.org:9093", "truncatedAlerts": 0,
            "alerts": [{
                "status": "firing", "startsAt": "2026-01-02T03:04:05Z", "endsAt": "0001-01-01T00:00:00Z",
                "labels": {"alertname": "HighLoad", "instance": "web-1:9100", "severity": "critical", USER_LABEL: "7"},
                "annotations": {"summary": "Load of web-1 is 12"},
                "generatorURL": "http://prometheus.example.org:9090/graph", "fingerprint": "0f2a7c1de5b3a984",
            }],
        }}})),
        "responses": with_refusals(json!({
            "202": answer("Every alert is safe", "AlertResults"),
            "207": answer("Some are safe, and a repeat would not change the rest", "AlertResults"),
        })),
    });
    if is_for_path {
        operation["parameters"] = parameters.into();
    }
    operation
}

fn users() -> Value {
    json!({
        "name": "users", "in": "path", "required": true, "example": "7,8",
        "description": "Who receives: a user, or several with commas between them", "schema": {"type": "string", "minLength": 1},
    })
}

fn schemas() -> Value {
    json!({
        "Notification": {
            "type": "object",
            "required": ["user"],
            "properties": {
                "id": nullable(text(ID_BYTES_MAX, "Yours; the same id for the same user is the same notification")),
                "user": {"oneOf": [id(), {"type": "integer"}], "description": "Who receives"},
                "timestamp": nullable(integer(0, TIMESTAMP_SECONDS_MAX, "When it happened, in seconds since 1970; left out: now")),
                "ttl": nullable(integer(TTL_SECONDS_MIN, TTL_SECONDS_MAX, "For how many seconds it is worth showing")),
                "kind": {"type": ["string", "null"], "enum": ["host", "service", "message", null], "description": "Left out: follows from host and service"},
                "type": nullable(text(TYPE_BYTES_MAX, "PROBLEM, RECOVERY, ACKNOWLEDGEMENT, ...")),
                "state": nullable(integer(STATE_MIN, STATE_MAX, "Hosts: 0 up, 1 down, 2 unreachable. Services: 0 ok, 1 warning, 2 critical, 3 unknown")),
                "host": object("For hosts and services"),
                "service": object("For services"),
                "output": nullable(text(OUTPUT_BYTES_MAX, "What the check said")),
                "author": nullable(text(AUTHOR_BYTES_MAX, "Who acknowledged")),
                "comment": nullable(text(COMMENT_BYTES_MAX, "What they said")),
                "title": nullable(text(TITLE_BYTES_MAX, "In place of our words; a message needs it or body")),
                "body": nullable(text(BODY_BYTES_MAX, "In place of our words")),
                "url": nullable(text(URL_BYTES_MAX, "Where a click leads: http, https, or a path that begins with one /")),
                "icon": nullable(text(ICON_BYTES_MAX, "A path in place of the state's icon")),
            },
        },
        "Message": {
            "type": "object",
            "required": ["userId"],
            "properties": {
                "timestamp": {"type": ["integer", "null"], "description": "Seconds since 1970; left out: 0, so stale"},
                "userId": {"type": "integer", "minimum": 1},
                "type": nullable(json!({"type": "string", "description": "service, in any case; everything else is a host"})),
                "hostUuid": nullable(text(OBJECT_ID_BYTES_MAX, "The engine's name of the host")),
                "serviceUuid": nullable(text(OBJECT_ID_BYTES_MAX, "The engine's name of the service")),
                "hostName": nullable(text(NAME_BYTES_MAX, "The name to show; left out: the UUID")),
                "serviceName": nullable(text(NAME_BYTES_MAX, "The name to show; left out: the UUID")),
                "state": nullable(integer(STATE_MIN, STATE_MAX, "As in Notification")),
                "notificationtype": nullable(text(TYPE_BYTES_MAX, "As type in Notification")),
                "output": nullable(text(OUTPUT_BYTES_MAX, "What the check said")),
                "ackauthor": nullable(text(AUTHOR_BYTES_MAX, "Who acknowledged")),
                "ackcomment": nullable(text(COMMENT_BYTES_MAX, "What they said")),
            },
        },
        "Webhook": {
            "type": "object",
            "description": "Alertmanager's format 4, and what Grafana adds; what has another type than here is as good as left out",
            "required": ["alerts"],
            "properties": {
                "status": status(),
                "groupLabels": labels(), "commonLabels": labels(), "commonAnnotations": labels(),
                "externalURL": {"type": "string"},
                "truncatedAlerts": {"type": "integer", "minimum": 0},
                "alerts": {"type": "array", "items": schema("Alert"), "description": format!("Those beyond {BATCH_ITEMS_MAX} notifications are left out")},
            },
        },
        "Alert": {
            "type": "object",
            "properties": {
                "status": status(),
                "labels": labels(), "annotations": labels(),
                "startsAt": {"type": "string", "format": "date-time"},
                "endsAt": {"type": "string", "format": "date-time"},
                "generatorURL": {"type": "string"}, "fingerprint": {"type": "string"},
                "dashboardURL": {"type": "string"}, "panelURL": {"type": "string"},
            },
        },
        "Result": {
            "type": "object",
            "required": ["id", "status", "errors"],
            "properties": {
                "id": nullable(text(ID_BYTES_MAX, "Yours, or the one it was given")),
                "status": {"enum": ["accepted", "stale", "invalid", "unavailable"]},
                "errors": {"type": "array", "items": schema("FieldError")},
                "ignored": {"type": "array", "maxItems": IGNORED_FIELDS_MAX, "items": text(IGNORED_NAME_BYTES_MAX, "A field that is none")},
            },
        },
        "Results": {"type": "object", "required": ["results"], "properties": {"results": results()}},
        "AlertResults": {
            "type": "object",
            "required": ["results"],
            "properties": {
                "results": results(),
                "without_user": {"type": "integer", "minimum": 1, "description": "Alerts that name no user"},
                "too_many_users": {"type": "integer", "minimum": 1, "description": format!("Alerts that name more than {ALERT_USERS_MAX} users")},
                "left_out": {"type": "integer", "minimum": 1, "description": "Alerts for which there was no room"},
            },
        },
        "FieldError": {
            "type": "object",
            "required": ["field", "message"],
            "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
        },
        "Problem": {
            "type": "object",
            "description": "RFC 9457",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"const": "about:blank"}, "title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"},
                "errors": {"type": "array", "maxItems": ERRORS_MAX, "items": schema("FieldError")},
                "results": results(),
            },
        },
    })
}

/// What may be said to any request.
struct Refused {
    status: &'static str,
    description: &'static str,
    /// It says when to try again.
    can_wait: bool,
}

const REFUSED: [Refused; 9] = [
    Refused::new("400", "It is not JSON, or none of it was accepted and fields are not as they must be"),
    Refused::new("401", "A bearer token is needed"),
    Refused::new(
        "403",
        "The token may not send here; or a client certificate is missing; or neither is asked for, and the sender is not on this machine",
    ),
    Refused::new("405", "The path has no such method: Allow says which it has"),
    Refused::new("408", "The body did not come in time"),
    Refused::new("413", "The body is too large, or has too many notifications"),
    Refused::new("415", "The body is compressed"),
    Refused::for_now("429", "Too many wrong tokens came from this address"),
    Refused::for_now("503", "The log does not take notifications now, or too much is in progress; try again"),
];

impl Refused {
    const fn new(status: &'static str, description: &'static str) -> Self {
        Self { status, description, can_wait: false }
    }

    const fn for_now(status: &'static str, description: &'static str) -> Self {
        Self { status, description, can_wait: true }
    }

    fn response(&self) -> Value {
        let mut response = refusal(self.description);
        if self.can_wait {
            response["headers"] = json!({"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}});
        }
        response
    }
}

fn responses() -> Value {
    REFUSED.iter().map(|refused| (refused.status.to_owned(), refused.response())).collect()
}

fn with_refusals(mut responses: Value) -> Value {
    for Refused { status, .. } in &REFUSED {
        responses[status] = json!({"$ref": format!("#/components/responses/{status}")});
    }
    responses
}

fn refusal(description: &str) -> Value {
    json!({"description": description, "content": {"application/problem+json": {"schema": schema("Problem")}}})
}

fn answer(description: &str, name: &str) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema(name)}}})
}

fn body(schema: Value, examples: Value) -> Value {
    json!({"required": true, "content": {"application/json": {"schema": schema, "examples": examples}}})
}

fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn results() -> Value {
    json!({"type": "array", "items": schema("Result"), "description": "One for each notification, in their order"})
}

fn id() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": ID_BYTES_MAX, "pattern": "^[!-~]+$"})
}

fn text(bytes_max: usize, description: &str) -> Value {
    json!({"type": "string", "maxLength": bytes_max, "description": description})
}

fn integer(min: i64, max: i64, description: &str) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max, "description": description})
}

fn object(description: &str) -> Value {
    json!({"type": ["object", "null"], "description": description, "properties": {
        "id": text(OBJECT_ID_BYTES_MAX, "The engine's name of it"),
        "name": nullable(text(NAME_BYTES_MAX, "The name to show; left out: the id")),
    }})
}

fn labels() -> Value {
    json!({"type": ["object", "null"], "additionalProperties": {"type": "string"}})
}

fn status() -> Value {
    json!({"enum": ["firing", "resolved"]})
}

/// Null says the same as leaving it out.
fn nullable(mut schema: Value) -> Value {
    if let Value::String(name) = schema["type"].take() {
        schema["type"] = json!([name, "null"]);
    }
    schema
}
