//! The page at `/`: what the server does now, and a console to try a room with.
//!
//! One document, made when the server starts: style and scripts stand in it, so that it needs no
//! other address, and only they may run (a nonce for each answer; CSP Level 3 6.7). It reads
//! `/metrics`, as any scraper does; it has no way of its own to the shards.

use std::net::SocketAddr;

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::header::{X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::Rng;
use rand::rngs::StdRng;

const DOCUMENT: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const WATCH: &str = include_str!("page/watch.js");
const TALK: &str = include_str!("page/talk.js");

/// Stands where each answer's own nonce goes.
const NONCE: &str = "{{nonce}}";

/// The page of one server.
#[derive(Debug)]
pub(super) struct Page(String);

impl Page {
    /// For a server whose WebSocket connections come to `listen`.
    pub(super) fn new(listen: SocketAddr) -> Self {
        let page = DOCUMENT
            .replace("{{listen}}", &listen.to_string())
            .replace("{{style}}", STYLE)
            .replace("{{watch}}", WATCH)
            .replace("{{talk}}", TALK);
        Self(page)
    }

    pub(super) fn answer(&self) -> impl IntoResponse + use<> {
        let mut random = [0; 16];
        rand::make_rng::<StdRng>().fill_bytes(&mut random);
        let nonce = STANDARD_NO_PAD.encode(random);
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; \
             script-src 'nonce-{nonce}'; connect-src 'self' ws: wss:; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
            (CONTENT_SECURITY_POLICY, policy),
            (CACHE_CONTROL, "no-store".to_owned()),
            (REFERRER_POLICY, "no-referrer".to_owned()),
            (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            (X_FRAME_OPTIONS, "DENY".to_owned()),
        ];
        (headers, self.0.replace(NONCE, &nonce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_and_asks_for_nothing_else() {
        let page = Page::new("[::1]:9001".parse().unwrap()).0;
        assert!(page.contains(r#"content="[::1]:9001""#));
        assert_eq!(page.matches("{{").count(), page.matches(NONCE).count());
        assert_eq!(page.matches(NONCE).count(), 3, "a style and two scripts");
        for outside in ["src=", "@import", "url(", "//cdn", "innerHTML", "eval("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn each_answer_has_a_nonce_of_its_own() {
        let page = Page::new("127.0.0.1:9001".parse().unwrap());
        let policy = || {
            let response = page.answer().into_response();
            response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
        };
        let first = policy();
        assert!(first.contains("script-src 'nonce-") && !first.contains("unsafe-inline"));
        assert_ne!(first, policy());
    }
}
