//! `/openapi.json` says what holds.

use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Map, Value, json};

use bellwire_ingest::http::document;

use crate::support::Bench;

fn examples(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of_path = |(path, operations): (&String, &Value)| {
        let examples = operations["post"]["requestBody"]["content"]["application/json"]["examples"].as_object();
        let examples = examples.cloned().unwrap_or_default();
        let path = path.replace("{users}", operations["post"]["parameters"][0]["example"].as_str().unwrap_or_default());
        examples.into_iter().map(move |(_, example)| (path.clone(), example["value"].clone())).collect::<Vec<_>>()
    };
    paths.flat_map(of_path).collect()
}

#[test]
fn it_changes_only_on_purpose() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/openapi.json");
    let mut ours = document();
    ours["info"]["version"] = "0".into();
    let ours = serde_json::to_string_pretty(&ours).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &ours).unwrap();
    }
    assert_eq!(ours, std::fs::read_to_string(&path).unwrap());
}

#[tokio::test]
async fn it_is_served_and_names_every_route() {
    let bench = Bench::new();
    let served = bench.answer(Request::get("/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!((served.status, served.header("content-type")), (200, "application/json"));
    assert_eq!(served.json(), document());
    for path in document()["paths"].as_object().unwrap().keys().filter(|path| *path != "/openapi.json") {
        let answer = bench.post(&path.replace("{users}", "7"), "").await;
        assert_eq!(answer.status, 400, "{path}");
    }
}

#[tokio::test]
async fn its_examples_are_accepted() {
    let document = document();
    let all = examples(&document);
    assert_eq!(all.len(), 6);
    for (path, example) in all {
        let answer = Bench::new().post(&path, example.to_string()).await;
        let good = if path == "/message" { 200 } else { 202 };
        assert_eq!(answer.status, good, "{path} {example}: {answer}");
        assert!(document["paths"].to_string().contains(&format!("\"{good}\"")));
    }
}

#[tokio::test]
async fn its_references_lead_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (document, mut found) = (document(), Vec::new());
    references(&document, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

/// A text of so many bytes that is right for the field otherwise.
fn text(field: &str, bytes: u64) -> Value {
    let first = if matches!(field, "url" | "icon") { "/" } else { "x" };
    Value::from(first.to_owned() + &"x".repeat(usize::try_from(bytes).unwrap() - 1))
}

/// Values at the limits of a property, and beyond them.
fn at_limits(field: &str, schema: &Value) -> (Vec<Value>, Vec<Value>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    if let Some(most) = schema["maxLength"].as_u64() {
        good.push(text(field, most));
        bad.push(text(field, most + 1));
    }
    for (name, step) in [("minimum", -1), ("maximum", 1)] {
        if let Some(number) = schema[name].as_i64() {
            // A time of long ago is stale.
            if field != "timestamp" || step > 0 {
                good.push(number.into());
            }
            bad.push((number + step).into());
        }
    }
    (good, bad)
}

async fn check(path: &str, base: &Map<String, Value>, field: &str, schema: &Value) -> usize {
    let with = |value: &Value| {
        let mut body = Value::Object(base.clone());
        body.pointer_mut(field.rsplit_once('/').map_or("", |(parent, _)| parent)).unwrap()
            [field.rsplit('/').next().unwrap()] = value.clone();
        body.to_string()
    };
    let (good, bad) = at_limits(field.trim_start_matches('/'), schema);
    for value in &good {
        let answer = Bench::new().post(path, with(value)).await;
        assert!([200, 202].contains(&answer.status), "{path} {field}: {answer}");
    }
    for value in &bad {
        let problem = Bench::new().post(path, with(value)).await.assert_problem(400);
        let named = field.trim_start_matches('/').replace('/', ".");
        assert_eq!(problem["errors"][0]["field"], named.as_str(), "{path} {field}");
    }
    bad.len()
}

#[tokio::test]
async fn its_limits_hold() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let base = json!({"user": "7", "title": "t", "host": {"id": "h"}, "service": {"id": "s"}});
    let mut checked = 0;
    for (field, schema) in schemas["Notification"]["properties"].as_object().unwrap() {
        checked += check("/v1/notifications", base.as_object().unwrap(), &format!("/{field}"), schema).await;
        for (inner, schema) in schema["properties"].as_object().into_iter().flatten() {
            let field = format!("/{field}/{inner}");
            checked += check("/v1/notifications", base.as_object().unwrap(), &field, schema).await;
        }
    }
    let base = json!({"timestamp": 1_700_000_000, "userId": 7, "type": "service", "hostUuid": "h"});
    for (field, schema) in schemas["Message"]["properties"].as_object().unwrap() {
        checked += check("/message", base.as_object().unwrap(), &format!("/{field}"), schema).await;
    }
    assert!(checked > 25, "{checked}");
    let most = &document["paths"]["/v1/notifications"]["post"]["requestBody"]["content"]["application/json"];
    let most = most["schema"]["oneOf"][1]["maxItems"].as_u64().unwrap();
    let list =
        |items: u64| json!(vec![json!({"user": "7", "title": "t"}); usize::try_from(items).unwrap()]).to_string();
    assert_eq!(Bench::new().post("/v1/notifications", list(most)).await.status, 202);
    assert_eq!(Bench::new().post("/v1/notifications", list(most + 1)).await.status, 413);
}
