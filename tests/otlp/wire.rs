//! What OTLP's messages say, read by hand: with the program's own library a mistake of both would cancel out.

use std::collections::BTreeMap;

/// A span as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty where it has none.
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A value of a field: a number, or what has a length.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The spans of an `ExportTraceServiceRequest`.
pub(crate) fn spans(request: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource_spans in all(request, 1) {
        let resource: BTreeMap<_, _> = all(resource_spans, 1).into_iter().flat_map(|r| attributes(r, 1)).collect();
        let service = resource.get("service.name").cloned().unwrap_or_default();
        let scopes = all(resource_spans, 2).into_iter();
        spans.extend(scopes.flat_map(|scope| all(scope, 2)).map(|bytes| span(bytes, &service)));
    }
    spans
}

fn span(bytes: &[u8], service: &str) -> Span {
    let hex = |number| one(bytes, number).iter().map(|byte| format!("{byte:02x}")).collect();
    Span {
        service: service.to_owned(),
        trace: hex(1),
        id: hex(2),
        parent: hex(4),
        name: text(one(bytes, 5)),
        began: number(bytes, 7),
        ended: number(bytes, 8),
        attributes: attributes(bytes, 9).into_iter().collect(),
    }
}

fn attributes(bytes: &[u8], field: u64) -> Vec<(String, String)> {
    let value = |any: &[u8]| match fields(any).into_iter().next() {
        Some((1, Value::Bytes(bytes))) => text(bytes),
        Some((3, Value::Number(number))) => number.to_string(),
        other => format!("{other:?}"),
    };
    all(bytes, field).into_iter().map(|pair| (text(one(pair, 1)), value(one(pair, 2)))).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn all(bytes: &[u8], field: u64) -> Vec<&[u8]> {
    let bytes_of =
        |(number, value)| if let (true, Value::Bytes(bytes)) = (number == field, value) { Some(bytes) } else { None };
    fields(bytes).into_iter().filter_map(bytes_of).collect()
}

fn one(bytes: &[u8], field: u64) -> &[u8] {
    all(bytes, field).first().copied().unwrap_or_default()
}

fn number(bytes: &[u8], field: u64) -> u64 {
    let number_of =
        |(number, value)| if let (true, Value::Number(it)) = (number == field, value) { Some(it) } else { None };
    fields(bytes).into_iter().find_map(number_of).unwrap_or_default()
}

/// The fields of a message of Protocol Buffers.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)),
            1 => Value::Number(u64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let length = varint(&mut bytes);
                Value::Bytes(take(&mut bytes, usize::try_from(length).unwrap()))
            }
            5 => Value::Number(u64::from(u32::from_le_bytes(take(&mut bytes, 4).try_into().unwrap()))),
            kind => panic!("a field of kind {kind}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}
