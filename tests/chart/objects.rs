//! Rendered objects, and ways to what in them tests look at.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// All objects of a render, in its order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Objects(pub(crate) Vec<Object>);

/// One of them, and the template that it comes from, where helm says so.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object(pub(crate) Value, pub(crate) String);

/// A pod, or what pods are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pod<'a> {
    /// What it is part of.
    pub(crate) of: &'a Object,
    pub(crate) metadata: &'a Value,
    pub(crate) spec: &'a Value,
}

static NOTHING: Value = Value::Null;
static NONE: Vec<Value> = Vec::new();

/// The list at a pointer; empty if there is none.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).unwrap_or(&NONE)
}

/// The text at a pointer; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The map at a pointer, as pairs; empty if there is none.
pub(crate) fn pairs<'a>(value: &'a Value, pointer: &str) -> Vec<(&'a str, &'a Value)> {
    let map = value.pointer(pointer).and_then(Value::as_object);
    map.map(|map| map.iter().map(|(name, value)| (name.as_str(), value)).collect()).unwrap_or_default()
}

/// Whether all of the first are among the second.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = pairs(selector, "");
    !wanted.is_empty() && wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// Kubernetes reads YAML 1.1, where 0440 is octal.
fn octal(line: &str) -> Cow<'_, str> {
    let number =
        line.split_once("Mode: 0").and_then(|(before, digits)| Some((before, u32::from_str_radix(digits, 8).ok()?)));
    number.map_or(line.into(), |(before, number)| format!("{before}Mode: {number}").into())
}

/// Whether a selector with `matchLabels` and `matchExpressions` chooses these labels; an empty one chooses nothing here.
pub(crate) fn chooses(selector: &Value, labels: &Value) -> bool {
    let holds = |expression: &Value| {
        let value = labels.get(text(expression, "/key"));
        let listed = value.is_some_and(|value| list(expression, "/values").contains(value));
        match text(expression, "/operator") {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => panic!("no operator of selectors: {other:?}"),
        }
    };
    let plain = selector.get("matchLabels").is_none_or(|plain| selects(plain, labels));
    let expressions = list(selector, "/matchExpressions");
    plain && expressions.iter().all(holds) && (selector.get("matchLabels").is_some() || !expressions.is_empty())
}

// === impl Objects ===

impl Objects {
    /// Those of a YAML stream. A key that comes twice is an error.
    pub(crate) fn parse(yaml: &str) -> Result<Self, String> {
        let mut found = Vec::new();
        for document in yaml.split("---\n") {
            let source = document.lines().find_map(|line| line.strip_prefix("# Source: ")).unwrap_or_default();
            let text: Vec<_> = document.lines().map(octal).collect();
            let wrong = |error: &dyn fmt::Display| format!("{error} in {source}:\n{document}");
            let value: serde_yaml_ng::Value =
                serde_yaml_ng::from_str(&text.join("\n")).map_err(|error| wrong(&error))?;
            // Empty documents are what templates leave that render nothing.
            if !value.is_null() {
                found.push(Object(serde_json::to_value(value).map_err(|error| wrong(&error))?, source.to_owned()));
            }
        }
        Ok(Self(found))
    }

    pub(crate) fn kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Object> {
        self.0.iter().filter(move |object| object.kind() == kind)
    }

    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<&Object> {
        self.0.iter().find(|object| object.kind() == kind && object.name() == name)
    }

    /// The one of this kind whose name ends so.
    pub(crate) fn get(&self, kind: &str, end: &str) -> &Object {
        let mut found = self.0.iter().filter(|object| object.kind() == kind && object.name().ends_with(end));
        let object = found.next().unwrap_or_else(|| panic!("no {kind} *{end}"));
        assert_eq!(found.next(), None, "two {kind} *{end}");
        object
    }

    /// Everything that runs, the test included.
    pub(crate) fn pods(&self) -> Vec<Pod<'_>> {
        self.0.iter().filter_map(Object::pod).collect()
    }
}

// === impl Object ===

impl Object {
    pub(crate) fn kind(&self) -> &str {
        text(&self.0, "/kind")
    }

    pub(crate) fn name(&self) -> &str {
        text(&self.0, "/metadata/name")
    }

    pub(crate) fn group(&self) -> &str {
        text(&self.0, "/apiVersion").split_once('/').map_or("", |(group, _)| group)
    }

    /// Whether values brought it as it is.
    pub(crate) fn is_extra(&self) -> bool {
        self.1.contains("extra")
    }

    pub(crate) fn is_hook(&self) -> bool {
        self.0.pointer("/metadata/annotations/helm.sh~1hook").is_some()
    }

    pub(crate) fn pod(&self) -> Option<Pod<'_>> {
        let base = match self.kind() {
            "Pod" => "",
            "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => "/spec/template",
            _ => return None,
        };
        let at = |part: &str| self.0.pointer(&format!("{base}/{part}")).unwrap_or(&NOTHING);
        Some(Pod { of: self, metadata: at("metadata"), spec: at("spec") })
    }

    /// Each value in it with its pointer, maps and lists included.
    pub(crate) fn walk(&self, visit: &mut impl FnMut(&str, &Value)) {
        walk(&self.0, &mut String::new(), visit);
    }
}

pub(crate) fn walk(value: &Value, path: &mut String, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, value);
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => return,
    };
    for (name, child) in children {
        let length = path.len();
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        walk(child, path, visit);
        path.truncate(length);
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

// === impl Pod ===

impl<'a> Pod<'a> {
    pub(crate) fn labels(self) -> &'a Value {
        self.metadata.get("labels").unwrap_or(&NOTHING)
    }

    /// All of them, those that run before the others first.
    pub(crate) fn containers(self) -> Vec<&'a Value> {
        list(self.spec, "/initContainers").iter().chain(list(self.spec, "/containers")).collect()
    }

    /// The number of a container's port with this name or number, if it has one.
    pub(crate) fn port(self, wanted: &Value) -> Option<u16> {
        let ports = list(self.spec, "/containers").iter().flat_map(|container| list(container, "/ports"));
        let is_wanted = |port: &&Value| match wanted {
            Value::String(name) => text(port, "/name") == name,
            number => port.get("containerPort") == Some(number),
        };
        ports.filter(is_wanted).find_map(|port| port["containerPort"].as_u64()?.try_into().ok())
    }
}
