//! The admin HTTP: a page for people, health, readiness, metrics, and the API. Who may read is who
//! can reach the listener's address; who may ask for more shows a key.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use tokio::net::TcpListener;

use super::api::{self, Api};
use super::desk::Desk;
use super::page::Page;
use super::{ControlError, Facts, Keyed, metrics, process};

pub(super) async fn bind(addr: SocketAddr) -> Result<TcpListener, ControlError> {
    TcpListener::bind(addr).await.map_err(|source| ControlError::Listen { addr, source })
}

/// Serves for ever; without a listener waits for ever.
pub(super) async fn serve(listener: Option<TcpListener>, router: Router) {
    let Some(listener) = listener else { return std::future::pending().await };
    if let Err(e) = axum::serve(listener, router).await {
        tracing::error!(error = %e, "the admin listener failed: no health checks, no metrics");
    }
    std::future::pending::<()>().await;
}

/// All that is served here.
pub(super) fn router(facts: &Arc<Facts>, api: Option<Keyed>) -> io::Result<Router> {
    let api = match api {
        Some(Keyed { key, shards }) => {
            let state = Api { key, desk: Desk::new(shards)?, facts: Arc::clone(facts) };
            any(api::serve).with_state(Arc::new(state))
        }
        None => any(api::off),
    };
    let page = Arc::new(Page::new(facts.listen));
    let here = "here are /, /healthz, /readyz, /metrics and /api/METHOD\n";
    Ok(Router::new()
        .route("/", get(move || std::future::ready(page.answer())))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .with_state(Arc::clone(facts))
        .route("/api", api.clone())
        .route("/api/{*method}", api)
        .fallback(async move || (StatusCode::NOT_FOUND, here)))
}

async fn ready(State(facts): State<Arc<Facts>>) -> impl IntoResponse {
    if facts.draining.load(Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn exposition(State(facts): State<Arc<Facts>>) -> impl IntoResponse {
    let text = metrics::render(&facts.counters, &process::look(&facts));
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}
