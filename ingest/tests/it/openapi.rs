//! `/openapi.json` says what holds.

use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Map, Value, json};

use bellwire_ingest::http::document;

use crate::support::{Bench, post};

/// Each with its operation and the path that it is posted to.
fn examples(document: &Value) -> Vec<(&Value, String, &Value)> {
    let posts =
        document["paths"].as_object().unwrap().iter().filter_map(|(path, methods)| Some((path, methods.get("post")?)));
    let of_path = |(path, post): (&String, &'_ Value)| {
        let users = post["parameters"][0]["example"].as_str().unwrap_or_default();
        path.replace("{users}", users)
    };
    let of_post = |(path, post)| {
        let path = of_path((path, post));
        let examples = post["requestBody"]["content"]["application/json"]["examples"].as_object().unwrap();
        examples.values().map(move |example| (post, path.clone(), &example["value"])).collect::<Vec<_>>()
    };
    posts.flat_map(of_post).collect()
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
async fn it_is_served_and_its_methods_are_those_that_there_are() {
    let bench = Bench::new();
    let served = bench.answer(Request::get("/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!((served.status, served.header("content-type")), (200, "application/json"));
    assert_eq!(served.json(), document());
    for (path, methods) in document()["paths"].as_object().unwrap() {
        let (path, mut allowed) = (path.replace("{users}", "7"), Vec::new());
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let request = post(&path).method(method).body(Body::empty()).unwrap();
            let answer = bench.answer(request).await;
            assert_eq!(answer.status != 405, methods.get(method.to_lowercase()).is_some(), "{method} {path}: {answer}");
            assert_ne!(answer.status, 404, "{path}");
            if answer.status == 405 {
                answer.assert_problem(405);
                allowed = answer.header("allow").split(',').map(|method| method.trim().to_lowercase()).collect();
            }
        }
        // Whoever may GET may ask for the head alone.
        allowed.retain(|method| method != "head");
        assert_eq!(allowed, methods.as_object().unwrap().keys().cloned().collect::<Vec<_>>(), "{path}");
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["responses"]["405"].is_object(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn its_examples_are_accepted() {
    let document = document();
    let all = examples(&document);
    assert_eq!(all.len(), 6);
    for (operation, path, example) in all {
        let answer = Bench::new().post(&path, example.to_string()).await;
        let good = if path == "/message" { 200 } else { 202 };
        assert_eq!(answer.status, good, "{path} {example}: {answer}");
        let said = &operation["responses"][good.to_string()]["content"][answer.header("content-type")]["schema"];
        let schema = document.pointer(said["$ref"].as_str().unwrap().trim_start_matches('#')).unwrap();
        for (field, value) in answer.json().as_object().unwrap() {
            assert!(schema["properties"].get(field).is_some(), "{path}: {field} = {value} is not in the document");
        }
        for field in schema["required"].as_array().unwrap() {
            assert!(answer.json().get(field.as_str().unwrap()).is_some(), "{path}: no {field} in {answer}");
        }
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
