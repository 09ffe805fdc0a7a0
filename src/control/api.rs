//! The API of the admin address: `POST /api/METHOD` in the shape of Centrifugo's HTTP API, so that
//! its libraries and examples work.
//!
//! `{"result": ...}` or `{"error": {"code", "message"}}` with status 200 comes from the hub; any
//! other status means that the request never got there. The key is looked at before anything else
//! is, and never shown.

mod fields;
mod methods;

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::Facts;
use super::desk::Desk;
use crate::auth::ApiKey;
use crate::calls::Denied;
use crate::limits;
use fields::Fields;
use methods::Failure;

/// What requests are answered from.
pub(super) struct Api {
    pub(super) key: ApiKey,
    pub(super) desk: Desk,
    pub(super) facts: Arc<Facts>,
}

/// Codes of requests that never reach the hub, as near as Centrifugo's table has them.
const UNAUTHORIZED: u32 = 101;
const NO_METHOD: u32 = 104;
const BAD_REQUEST: u32 = 107;

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: u32,
    message: &'a str,
}

impl<'a> ErrorBody<'a> {
    fn new(code: u32, message: &'a str) -> Self {
        Self { code, message }
    }
}

/// A whole answer.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answered<'a> {
    Result(&'a RawValue),
    Error(ErrorBody<'a>),
}

fn answer(status: StatusCode, body: &Answered<'_>) -> Response {
    // Plain structs: it can not fail.
    let text = serde_json::to_string(body).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn error(status: StatusCode, code: u32, message: &str) -> Response {
    answer(status, &Answered::Error(ErrorBody::new(code, message)))
}

/// Answers in the place of an API that has no key.
pub(super) async fn off() -> Response {
    let message = "the API is off: start the server with --api-key (or PLIMSOLL_API_KEY)";
    error(StatusCode::NOT_FOUND, NO_METHOD, message)
}

/// Answers one request.
pub(super) async fn serve(State(api): State<Arc<Api>>, request: Request<Body>) -> Response {
    if !is_authorized(request.headers(), &api.key) {
        let message = "send the key as X-API-Key: KEY or Authorization: apikey KEY";
        let mut answer = error(StatusCode::UNAUTHORIZED, UNAUTHORIZED, message);
        // RFC 9110 15.5.2: a 401 names how to do better.
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, "apikey".parse().expect("a token"));
        return answer;
    }
    if request.method() != Method::POST {
        let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, BAD_REQUEST, "use POST");
        answer.headers_mut().insert(header::ALLOW, "POST".parse().expect("a token"));
        return answer;
    }
    if !may_be_json(request.headers()) {
        let message = "the body is JSON: send Content-Type: application/json";
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, BAD_REQUEST, message);
    }
    let (head, body) = request.into_parts();
    let name = head.uri.path().strip_prefix("/api/").unwrap_or_default();
    let body = match read(body).await {
        Ok(body) => body,
        Err((status, message)) => return error(status, BAD_REQUEST, &message),
    };
    let fields = match Fields::parse(&body) {
        Ok(fields) => fields,
        Err(mistake) => return error(StatusCode::BAD_REQUEST, BAD_REQUEST, &mistake),
    };
    drop(body);
    match methods::call(name, fields, &api.desk, &api.facts).await {
        Ok(result) => answer(StatusCode::OK, &Answered::Result(&result)),
        Err(Failure::Unknown) => {
            let message = format!("there is no such method; there are {}", methods::NAMES);
            error(StatusCode::NOT_FOUND, NO_METHOD, &message)
        }
        Err(Failure::Mistake(mistake)) => {
            let message = format!("{}: {mistake}", Denied::BadRequest);
            error(StatusCode::OK, Denied::BadRequest.code(), &message)
        }
        Err(Failure::Denied(denied)) => error(StatusCode::OK, denied.code(), &denied.to_string()),
    }
}

async fn read(body: Body) -> Result<Bytes, (StatusCode, String)> {
    let too_large = || {
        let message = format!("the body has more than {} bytes", limits::MAX_API_BODY);
        (StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    if body.size_hint().lower() > limits::MAX_API_BODY as u64 {
        return Err(too_large());
    }
    match timeout(limits::API_BODY_TIMEOUT, to_bytes(body, limits::MAX_API_BODY)).await {
        Ok(Ok(body)) => Ok(body),
        // Cut off, or of no length that was told and too long.
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned())),
    }
}

fn is_authorized(headers: &HeaderMap, key: &ApiKey) -> bool {
    if let Some(given) = headers.get("x-api-key") {
        return key.is(given.as_bytes());
    }
    let Some(given) = headers.get(header::AUTHORIZATION) else { return false };
    let mut parts = given.as_bytes().splitn(2, |&byte| byte == b' ');
    let scheme = parts.next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"apikey") && parts.next().is_some_and(|given| key.is(given))
}

/// JSON, or what curl calls its data where nobody says otherwise: a form. The key in a field of its
/// own keeps the forms of web pages out.
fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence = kind.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    let is = |name: &str| essence.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
    is("application/json") || is("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests;
