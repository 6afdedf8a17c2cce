//! A notification as it was sent: nothing is checked yet, and a field of a wrong type is kept as such, so that
//! the check can name every bad field at once.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Most unknown fields whose names are kept, to be told to the sender.
pub const IGNORED_FIELDS_MAX: usize = 8;
/// Longest name of an unknown field that is kept, in bytes.
pub const IGNORED_NAME_BYTES_MAX: usize = 64;

/// One object of `POST /v1/notifications`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft<'a> {
    /// The sender's own id; the same id twice for one user is the same notification.
    pub id: Field<'a>,
    /// Who receives.
    pub user: Field<'a>,
    /// The engine's time, in seconds since 1970; absent is now.
    pub timestamp: Field<'a>,
    /// For how long it is worth showing, in seconds.
    pub ttl: Field<'a>,
    /// `host`, `service` or `message`; absent follows from the objects.
    pub kind: Field<'a>,
    /// The engine's notification type.
    pub notification_type: Field<'a>,
    /// The engine's state number.
    pub state: Field<'a>,
    /// The host.
    pub host: ObjectDraft<'a>,
    /// The service.
    pub service: ObjectDraft<'a>,
    /// What the check said.
    pub output: Field<'a>,
    /// Who acknowledged.
    pub author: Field<'a>,
    /// What they said.
    pub comment: Field<'a>,
    /// A title in place of our wording.
    pub title: Field<'a>,
    /// A text in place of our wording.
    pub body: Field<'a>,
    /// Where a click leads.
    pub url: Field<'a>,
    /// An icon in place of the state's.
    pub icon: Field<'a>,
    /// A host or service without an id passes; it is left out and worded as unknown (`/message`).
    pub anonymous: bool,
    /// Names of the first unknown fields.
    pub ignored: Vec<String>,
    /// What stood in place of the object.
    pub other: Option<&'static str>,
}

/// A host or a service as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObjectDraft<'a> {
    /// The engine's name.
    pub id: Field<'a>,
    /// The name to show.
    pub name: Field<'a>,
    /// What stood in place of the object.
    pub other: Option<&'static str>,
}

/// One value as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Field<'a> {
    /// Not there, or null.
    #[default]
    Absent,
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number.
    Integer(i64),
    /// Something else; says what.
    Other(&'static str),
}

/// What is read from a JSON object, key by key. Anything but an object is kept as [`FromObject::other`], so
/// that it can be reported beside other errors.
pub trait FromObject<'de>: Default {
    /// Takes the value of `key` out of `map`; a value that is not taken is skipped.
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error>;

    /// Something else than an object; says what.
    fn other(what: &'static str) -> Self;
}

/// Whether [`FromObject::take`] knew the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The value was taken.
    Yes,
    /// The key is unknown; its value is still there.
    No,
}

/// Reads an object, whatever stands there.
pub fn read_object<'de, T: FromObject<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

// === impl Draft ===

impl<'de> FromObject<'de> for Draft<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        match key {
            "id" => self.id = map.next_value()?,
            "user" => self.user = map.next_value()?,
            "timestamp" => self.timestamp = map.next_value()?,
            "ttl" => self.ttl = map.next_value()?,
            "kind" => self.kind = map.next_value()?,
            "type" => self.notification_type = map.next_value()?,
            "state" => self.state = map.next_value()?,
            "host" => self.host = map.next_value()?,
            "service" => self.service = map.next_value()?,
            "output" => self.output = map.next_value()?,
            "author" => self.author = map.next_value()?,
            "comment" => self.comment = map.next_value()?,
            "title" => self.title = map.next_value()?,
            "body" => self.body = map.next_value()?,
            "url" => self.url = map.next_value()?,
            "icon" => self.icon = map.next_value()?,
            unknown => {
                if self.ignored.len() < IGNORED_FIELDS_MAX && unknown.len() <= IGNORED_NAME_BYTES_MAX {
                    self.ignored.push(unknown.to_owned());
                }
                return Ok(Taken::No);
            }
        }
        Ok(Taken::Yes)
    }

    fn other(what: &'static str) -> Self {
        Self { other: Some(what), ..Self::default() }
    }
}

impl<'de> Deserialize<'de> for Draft<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_object(deserializer)
    }
}

// === impl ObjectDraft ===

impl ObjectDraft<'_> {
    /// Nothing was said about it. Empty texts say nothing.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.id.is_blank() && self.name.is_blank() && self.other.is_none()
    }
}

impl<'de> FromObject<'de> for ObjectDraft<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        match key {
            "id" => self.id = map.next_value()?,
            "name" => self.name = map.next_value()?,
            _ => return Ok(Taken::No),
        }
        Ok(Taken::Yes)
    }

    fn other(what: &'static str) -> Self {
        let other = (what != NULL).then_some(what);
        Self { other, ..Self::default() }
    }
}

impl<'de> Deserialize<'de> for ObjectDraft<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_object(deserializer)
    }
}

// === impl Field ===

impl Field<'_> {
    /// Nothing, or an empty text.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::Integer(_) | Self::Other(_) => false,
        }
    }

    /// What it is, for an error.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Text(_) => TEXT,
            Self::Integer(_) => "a number",
            Self::Other(what) => what,
        }
    }
}

impl<'a> From<&'a str> for Field<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Field<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Field<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

const NULL: &str = "null";
const TEXT: &str = "a text";
const BOOLEAN: &str = "true or false";
const FRACTION: &str = "a fraction";
const HUGE: &str = "a number beyond 64 bits";
const LIST: &str = "a list";
const OBJECT: &str = "an object";

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Owned(text)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Field::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Field::Other(HUGE), Field::Integer))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Field::Other(FRACTION))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Field::Other(BOOLEAN))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Field::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other(LIST))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other(OBJECT))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: FromObject<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(OBJECT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut object = T::default();
        while let Some(key) = map.next_key::<Field<'de>>()? {
            let Field::Text(key) = key else { return Err(A::Error::custom("a key is not a text")) };
            if object.take(&key, &mut map)? == Taken::No {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        FieldVisitor.visit_seq(list).map(|_| T::other(LIST))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<T, E> {
        Ok(T::other(TEXT))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        Ok(T::other("a number"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<T, E> {
        Ok(T::other("a number"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Ok(T::other(FRACTION))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<T, E> {
        Ok(T::other(BOOLEAN))
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::other(NULL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(json: &str) -> Draft<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_type_of_value_is_kept() {
        let draft = draft(
            r#"{"id":"a\u0062","user":7,"timestamp":1.5,"ttl":18446744073709551615,"kind":null,"type":[1,{}],
                "state":-2,"output":{"a":[]},"author":true,"host":{"id":"h","name":null,"x":1},"service":"s"}"#,
        );
        assert_eq!(draft.id, Field::Text("ab".into()));
        assert_eq!(draft.user, Field::Integer(7));
        assert_eq!(draft.timestamp, Field::Other(FRACTION));
        assert_eq!(draft.ttl, Field::Other(HUGE));
        assert_eq!(draft.kind, Field::Absent);
        assert_eq!(draft.notification_type, Field::Other(LIST));
        assert_eq!(draft.state, Field::Integer(-2));
        assert_eq!(draft.output, Field::Other(OBJECT));
        assert_eq!(draft.author, Field::Other(BOOLEAN));
        assert_eq!(draft.host, ObjectDraft { id: "h".into(), ..ObjectDraft::default() });
        assert_eq!(draft.service.other, Some(TEXT));
    }

    #[test]
    fn plain_texts_are_borrowed() {
        assert!(matches!(draft(r#"{"output":"plain"}"#).output, Field::Text(Cow::Borrowed("plain"))));
    }

    #[test]
    fn unknown_fields_are_named_up_to_a_bound() {
        assert_eq!(draft(r#"{"titel":{"a":1},"user":"7"}"#).ignored, ["titel"]);
        let many: String = (0..20).map(|n| format!("\"x{n}\":{n},")).collect();
        let json = format!("{{{many}\"{}\":1}}", "y".repeat(100));
        assert_eq!(draft(&json).ignored.len(), IGNORED_FIELDS_MAX);
        let long = format!("{{\"{}\":1}}", "y".repeat(100));
        assert!(draft(&long).ignored.is_empty());
    }

    #[test]
    fn anything_but_an_object_says_what_it_is() {
        for (json, what) in [("7", "a number"), ("-7", "a number"), ("\"x\"", TEXT), ("[{}]", LIST), ("null", NULL)] {
            assert_eq!(draft(json).other, Some(what), "{json}");
        }
        assert!(draft("{}").other.is_none());
        assert!(serde_json::from_str::<ObjectDraft<'_>>("null").unwrap().is_absent());
    }
}
