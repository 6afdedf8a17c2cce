//! Reading JSON objects: some fields of one, as they stand in the text, without building the rest.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How the names of fields are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Byte by byte.
    Exact,
    /// Without regard to ASCII case, as Go's decoder does.
    AnyCase,
}

/// The values of the fields `names` of the object `json`, as JSON text; of a field that stands there twice
/// the last, as PHP, Go and browsers read it. Absent and `null` are the same. None if it is not an object.
pub(super) fn fields<'a, const N: usize>(
    json: &'a str,
    names: [&'static str; N],
    compare: Names,
) -> Option<[Option<&'a RawValue>; N]> {
    Some(read(json, names, compare)?.map(|value| value.filter(|raw| raw.get() != "null")))
}

/// Which of the fields `names` the object `json` has, be they `null` or not. None if it is not an object.
pub(super) fn present<const N: usize>(json: &str, names: [&'static str; N]) -> Option<[bool; N]> {
    Some(read(json, names, Names::Exact)?.map(|value| value.is_some()))
}

fn read<'a, const N: usize>(
    json: &'a str,
    names: [&'static str; N],
    compare: Names,
) -> Option<[Option<&'a RawValue>; N]> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let found = Wanted { names, compare }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(found)
}

/// The text of a JSON string; none for other values.
pub(super) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

struct Wanted<const N: usize> {
    names: [&'static str; N],
    compare: Names,
}

impl<const N: usize> Wanted<N> {
    fn place_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|wanted| match self.compare {
            Names::Exact => *wanted == name,
            Names::AnyCase => wanted.eq_ignore_ascii_case(name),
        })
    }
}

impl<'de, const N: usize> DeserializeSeed<'de> for Wanted<N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Wanted<N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some(name) = map.next_key::<Text<'de>>()? {
            match self.place_of(&name.0) {
                Some(place) => values[place] = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(values)
    }
}

/// A text that borrows from the input where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(json: &str, compare: Names) -> Option<[Option<&str>; 2]> {
        Some(fields(json, ["a", "b"], compare)?.map(|raw| raw.map(RawValue::get)))
    }

    #[test]
    fn values_are_the_text_of_the_input() {
        let json = r#" {"x": [1], "a" :  {"deep": [1, 2]} , "b": "\u00e4"} "#;
        assert_eq!(texts(json, Names::Exact), Some([Some(r#"{"deep": [1, 2]}"#), Some(r#""\u00e4""#)]));
    }

    #[test]
    fn null_counts_as_absent_and_the_last_one_wins() {
        assert_eq!(texts(r#"{"a":null}"#, Names::Exact), Some([None, None]));
        assert_eq!(texts(r#"{"a":1,"a":2}"#, Names::Exact), Some([Some("2"), None]));
        assert_eq!(texts(r#"{"A":1}"#, Names::Exact), Some([None, None]));
        assert_eq!(texts(r#"{"A":1,"B":2}"#, Names::AnyCase), Some([Some("1"), Some("2")]));
        assert_eq!(texts(r#"{"\u0061":1}"#, Names::Exact), Some([Some("1"), None]));
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for json in ["", "1", "[]", "null", "\"a\"", "{", "{}x", r#"{"a":}"#, r#"{"a":1,}"#, "{} {}"] {
            assert_eq!(texts(json, Names::Exact), None, "{json}");
        }
    }

    #[test]
    fn depth_does_not_matter() {
        let json = format!(r#"{{"a":{}{}}}"#, "[".repeat(4000), "]".repeat(4000));
        assert!(texts(&json, Names::Exact).is_some());
    }

    #[test]
    fn strings_are_strings() {
        let [a, b] = fields(r#"{"a":"x\ny","b":1}"#, ["a", "b"], Names::Exact).unwrap();
        assert_eq!(string(a.unwrap()).unwrap(), "x\ny");
        assert_eq!(string(b.unwrap()), None);
    }
}
