//! The documentation: its page comes whole from the binary and from nowhere else, its document describes the answers that are really given.

use std::collections::BTreeSet;

use serde_json::Value;
use store::ReadError;

use crate::ask::{Answer, example, get, router};

/// What an attribute of the page refers to.
fn references(html: &str) -> BTreeSet<String> {
    ["src=\"", "href=\"", "src='", "href='"]
        .iter()
        .flat_map(|start| html.split(start).skip(1))
        .map(|rest| rest.split(['"', '\'']).next().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn the_page_loads_with_everything_it_needs() {
    let router = router(&example());
    let redirect = get(&router, "/docs").await;
    assert_eq!((redirect.status.as_u16(), redirect.header("location")), (308, "/docs/"));
    let page = get(&router, "/docs/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html"));
    let needed = references(page.text());
    for file in ["./swagger-ui.css", "./swagger-ui-bundle.js", "./swagger-initializer.js"] {
        assert!(needed.contains(file), "{file}: {needed:?}");
    }
    for file in &needed {
        assert!(!file.contains("//"), "{file} is not ours");
        let asset = get(&router, &format!("/docs/{}", file.trim_start_matches("./"))).await;
        assert_eq!(asset.status, 200, "{file}");
        assert!(!asset.body.is_empty(), "{file}");
    }
    let start = get(&router, "/docs/swagger-initializer.js").await;
    assert!(start.text().contains("\"url\": \"/openapi.json\""), "{}", start.text());
    assert!(start.text().contains("\"validatorUrl\": \"none\""), "{}", start.text());
    for file in [&page, &start] {
        assert!(!file.text().contains("http://") && !file.text().contains("https://"), "{}", file.text());
    }
}

#[tokio::test]
async fn the_page_may_load_from_this_server_only() {
    let router = router(&example());
    for path in ["/docs/", "/docs/swagger-ui-bundle.js"] {
        let policy = get(&router, path).await.header("content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("http"), "{path}: {policy}");
    }
}

/// Asserts that a value has the form that a schema of the document describes: types, required and known members, formats of choice.
fn assert_fits(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference} is nowhere"));
        return assert_fits(document, target, value, place);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let members: BTreeSet<String> = parts.iter().flat_map(|part| members(document, part)).collect();
        let object = value.as_object().unwrap_or_else(|| panic!("{place}: {value} is no object"));
        for name in object.keys() {
            assert!(members.contains(name), "{place}: {name} is not in the document");
        }
        for part in parts {
            assert_part_fits(document, part, value, place);
        }
        return;
    }
    if let Some(choices) = schema["enum"].as_array() {
        assert!(choices.contains(value), "{place}: {value} is none of {choices:?}");
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let other = choices.iter().find(|choice| choice["type"] != "null").expect("a choice besides null");
        if !value.is_null() {
            assert_fits(document, other, value, place);
        }
        return;
    }
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = |kind: &Value| kind == own || (kind == "number" && own == "integer");
    let kinds = &schema["type"];
    assert!(
        kinds.as_array().map_or_else(|| fits(kinds), |kinds| kinds.iter().any(fits)),
        "{place}: {value} is no {kinds}"
    );
    if let Some(values) = value.as_array() {
        for value in values {
            assert_fits(document, &schema["items"], value, &format!("{place}[]"));
        }
    }
    if let (Some(object), Some(any)) = (value.as_object(), schema.get("additionalProperties")) {
        for (name, value) in object {
            assert_fits(document, any, value, &format!("{place}.{name}"));
        }
    } else if let Some(object) = value.as_object() {
        let known = members(document, schema);
        for name in object.keys() {
            assert!(known.contains(name), "{place}: {name} is not in the document");
        }
        assert_part_fits(document, schema, value, place);
    }
}

/// One part of an object: its required members are there, and those that it describes fit.
fn assert_part_fits(document: &Value, part: &Value, value: &Value, place: &str) {
    let part = match part["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect(reference),
        None => part,
    };
    for name in part["required"].as_array().into_iter().flatten() {
        let name = name.as_str().expect("a name");
        assert!(value.get(name).is_some(), "{place}: {name} is missing in {value}");
    }
    for (name, schema) in part["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            assert_fits(document, schema, value, &format!("{place}.{name}"));
        }
    }
}

fn members(document: &Value, schema: &Value) -> BTreeSet<String> {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect(reference),
        None => schema,
    };
    let parts = ["allOf", "oneOf"].iter().flat_map(|kind| schema[kind].as_array().into_iter().flatten());
    let own = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    own.chain(parts.flat_map(|part| members(document, part))).collect()
}

/// Asserts that the document describes this answer of this path.
fn assert_described(document: &Value, path: &str, answer: &Answer) {
    let status = answer.status.as_str();
    let response = &document["paths"][path]["get"]["responses"][status];
    assert!(response.is_object(), "{path}: {status} is not in the document");
    let media_type = answer.header("content-type");
    let content = &response["content"][media_type];
    assert!(content.is_object(), "{path}: {status} as {media_type} is not in the document: {response}");
    assert_fits(document, &content["schema"], &answer.json(), path);
    if let Some(example) = content.get("example") {
        assert_fits(document, &content["schema"], example, &format!("example of {path}"));
    }
}

#[tokio::test]
async fn the_document_describes_what_is_really_answered() {
    let fake = example();
    let router = router(&fake);
    let answer = get(&router, "/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths: Vec<&String> = document["paths"].as_object().expect("paths").keys().collect();
    assert_eq!(
        paths,
        [
            "/",
            "/customers",
            "/customers/customer/stats/all",
            "/customers/stats",
            "/customers/{id}/stats",
            "/livez",
            "/metrics",
            "/readyz",
            "/v1/customers",
            "/v1/customers/{id}/latency",
            "/v1/customers/{id}/live",
            "/v1/customers/{id}/paths",
            "/v1/customers/{id}/requests",
            "/v1/customers/{id}/series",
            "/v1/customers/{id}/share",
            "/v1/customers/{id}/stats",
            "/v1/hurt",
            "/v1/latency",
            "/v1/live",
            "/v1/me",
            "/v1/pipeline",
            "/v1/rejects",
            "/v1/series",
            "/v1/stats"
        ]
    );
    let data = [
        ("/customers", "/customers?limit=1"),
        ("/customers/customer/stats/all", "/customers/customer/stats/all?from_date=2024-09-29"),
        ("/customers/stats", "/customers/stats?from_date=2024-09-29"),
        ("/customers/{id}/stats", "/customers/cust_1/stats?from_date=2024-09-29"),
        ("/v1/stats", "/v1/stats?compare=previous"),
        ("/v1/series", "/v1/series?compare=previous&granularity=1h"),
        ("/v1/latency", "/v1/latency?granularity=1h"),
        ("/v1/customers", "/v1/customers?limit=1"),
        ("/v1/hurt", "/v1/hurt"),
        ("/v1/customers/{id}/stats", "/v1/customers/cust_1/stats"),
        ("/v1/customers/{id}/series", "/v1/customers/cust_1/series?from=-60d"),
        ("/v1/customers/{id}/latency", "/v1/customers/cust_1/latency"),
        ("/v1/customers/{id}/paths", "/v1/customers/cust_1/paths"),
        ("/v1/customers/{id}/requests", "/v1/customers/cust_1/requests?limit=1"),
    ];
    for (path, asked) in data.into_iter().chain([
        ("/", "/"),
        ("/livez", "/livez"),
        ("/readyz", "/readyz"),
        ("/v1/pipeline", "/v1/pipeline"),
        ("/v1/rejects", "/v1/rejects"),
        ("/v1/me", "/v1/me"),
    ]) {
        assert_described(&document, path, &get(&router, asked).await);
    }
    assert_described(
        &document,
        "/customers/{id}/stats",
        &get(&router, "/customers/no/stats?from_date=2024-09-29").await,
    );
    assert_described(
        &document,
        "/customers/{id}/stats",
        &get(&router, "/customers/no/stats?from_date=no").await,
    );
    assert_described(&document, "/customers", &get(&router, "/customers?limit=no").await);
    for (path, asked) in data.iter().filter(|(path, _)| path.starts_with("/v1")) {
        let separator = if asked.contains('?') { '&' } else { '?' };
        assert_described(&document, path, &get(&router, &format!("{asked}{separator}from=no")).await);
        if path.contains("{id}") {
            assert_described(&document, path, &get(&router, &asked.replace("cust_1", "nobody")).await);
        }
        for form in ["csv", "ndjson"] {
            let answer = get(&router, &format!("{asked}{separator}format={form}")).await;
            let media_type = answer.header("content-type").split(';').next().unwrap_or_default().to_owned();
            let response = &document["paths"][path]["get"]["responses"]["200"]["content"][&media_type];
            assert!(response.is_object(), "{path} as {media_type} is not in the document");
        }
    }
    for error in [
        ReadError::Away { why: String::new(), retry_after: None },
        ReadError::Damaged(String::new()),
        ReadError::NoDataYet { why: String::new() },
    ] {
        fake.fails(error);
        for (path, asked) in data {
            assert_described(&document, path, &get(&router, asked).await);
        }
        assert_described(&document, "/readyz", &get(&router, "/readyz").await);
    }
}

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = get(&router(&example()), "/openapi.json").await.json();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 5, "{found:?}");
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
}
