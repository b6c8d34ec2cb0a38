//! The door: from a request to its answer.

use std::{sync::Arc, time::Instant};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{Response, header},
};

use super::{
    answer::Answer,
    bank,
    call::{Call, header_text},
    control,
    operation::{Operation, Surface},
    payment::{self, Asked},
    sign_in::gateway,
    tos, virtual_pos,
    world::{Bent, SeenRequest, World},
};

/// A body above this is nobody's request.
const BODY_BYTES_MAX: usize = 64 << 20;

/// Answers every request of the simulator.
pub(super) async fn serve(State(world): State<Arc<World>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return Answer::page(413, "Request Entity Too Large").into_response(false);
    };
    let path = parts.uri.path();
    if let Some(command) = path.strip_prefix("/_ctl/") {
        let query = parts.uri.query().unwrap_or_default();
        let answer = control::answer(&world, parts.method.as_str(), command, query, &body);
        return answer.into_response(false);
    }
    if path == "/readyz" {
        // The real source has none: it is for whoever waits for the simulator.
        return Answer::json(200, serde_json::json!({"ready": true})).into_response(false);
    }
    let gzip = world.settings().gzip
        && header_text(&parts.headers, &header::ACCEPT_ENCODING).contains("gzip");
    let Some(call) = Call::read(&parts, body) else {
        return Answer::page(404, "Not Found").into_response(false);
    };
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let changes = call.operation == Operation::ChangePayment;
    let answering = respond(world, call, target);
    let answer = if changes {
        // Whoever asks for a change and hangs up does not stop it.
        let answered = tokio::spawn(answering).await;
        answered.unwrap_or_else(|_| Answer::page(500, "Server Error"))
    } else {
        answering.await
    };
    answer.into_response(gzip)
}

async fn respond(world: Arc<World>, call: Call, target: String) -> Answer {
    let mut bent = world.bend(call.operation);
    if call.operation == Operation::ChangePayment {
        let came_ms = chrono::Utc::now().timestamp_millis();
        bent.post = Some(world.posts().begin(&Asked::read(&call), came_ms));
    }
    if let Some(delay) = bent.delay {
        tokio::time::sleep(delay).await;
    }
    if let Some(time) = bent.deaf {
        world.slam(time).await;
    }
    let post = bent.post;
    let answer = answer(&world, &call, bent);
    if let Some(number) = post {
        world.posts().end(number, answer.status);
    }
    world.requests().note(SeenRequest {
        operation: call.operation.name(),
        target,
        body: shown_body(&call),
        status: answer.status,
    });
    tokio::time::sleep(answer.wait).await;
    answer
}

/// Bodies of sign-ins hold secrets; those of queries tell a test what was asked.
fn shown_body(call: &Call) -> String {
    let shown = matches!(
        call.operation,
        Operation::TosQuery | Operation::TransactionFind | Operation::ChangePayment
    );
    let body = if shown { call.body.clone() } else { Bytes::new() };
    String::from_utf8_lossy(&body).into_owned()
}

fn answer(world: &Arc<World>, call: &Call, mut bent: Bent) -> Answer {
    let surface = call.operation.surface();
    if surface == Surface::Tos {
        return refusal_or_truth(world, call, &mut bent);
    }
    let (limit, remaining, wait) = world.settings().count_request(Instant::now());
    let answer = match wait {
        Some(seconds) => {
            let reset = chrono::Utc::now().timestamp() + seconds.cast_signed();
            Answer::text(429, "text/plain; charset=UTF-8", "Too Many Attempts.")
                .with("retry-after", seconds)
                .with("x-ratelimit-reset", reset)
        }
        None => refusal_or_truth(world, call, &mut bent),
    };
    answer.with("x-ratelimit-limit", limit).with("x-ratelimit-remaining", remaining)
}

fn refusal_or_truth(world: &Arc<World>, call: &Call, bent: &mut Bent) -> Answer {
    if bent.expire_token {
        world.tokens().expire(call);
    }
    if let Some(instead) = bent.instead.take() {
        return instead;
    }
    if call.operation.is_sign_in() {
        return bent.spoil(world.tokens().sign_in(call));
    }
    let surface = call.operation.surface();
    let admitted = world.tokens().admits(call);
    if !admitted && surface == Surface::Tos {
        return gateway(401, "ACBG000002", "Geçersiz token", "Invalid token");
    }
    if !admitted {
        return plain_or_login(call, Answer::unauthenticated());
    }
    let answer = match surface {
        Surface::Bank => bank::answer(&world.ledger(), call, bent),
        Surface::VirtualPos if call.operation == Operation::ChangePayment => {
            payment::answer(world, call, bent)
        }
        Surface::VirtualPos => virtual_pos::answer(&world.ledger(), call, bent),
        Surface::Tos => tos::answer(&world.ledger(), call, bent),
    };
    let answer = if answer.status == 422 { plain_or_login(call, answer) } else { answer };
    bent.spoil(answer)
}

/// Laravel redirects a refused request that did not ask for JSON.
fn plain_or_login(call: &Call, refusal: Answer) -> Answer {
    if call.wants_json { refusal } else { Answer::login() }
}
