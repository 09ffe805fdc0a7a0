//! The admin HTTP: a page for people, health, readiness, metrics. Reads only; who may reach it is
//! the listener's address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::page::Page;
use super::{ControlError, Facts, metrics, process};

pub(super) async fn bind(addr: SocketAddr) -> Result<TcpListener, ControlError> {
    TcpListener::bind(addr).await.map_err(|source| ControlError::Listen { addr, source })
}

/// Serves for ever; without a listener waits for ever.
pub(super) async fn serve(listener: Option<TcpListener>, facts: Facts) {
    let Some(listener) = listener else { return std::future::pending().await };
    if let Err(e) = axum::serve(listener, router(facts)).await {
        tracing::error!(error = %e, "the admin listener failed: no health checks, no metrics");
    }
    std::future::pending::<()>().await;
}

fn router(facts: Facts) -> Router {
    let page = Arc::new(Page::new(facts.listen));
    Router::new()
        .route("/", get(move || std::future::ready(page.answer())))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .fallback(async || (StatusCode::NOT_FOUND, "here are /, /healthz, /readyz and /metrics\n"))
        .with_state(Arc::new(facts))
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
