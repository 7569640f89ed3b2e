//! Many clients at once.

use crate::kit::Host;
use serde_json::json;
use std::thread;

/// Clients that are connected at the same time.
const CLIENTS: usize = 200;
/// Requests of each.
const REQUESTS: usize = 5;

#[test]
fn two_hundred_clients_are_answered_without_an_error() {
    let mut host = Host::start(json!({}));
    let clients: Vec<_> = (0..CLIENTS).map(|_| host.connect(&host.reader)).collect();
    thread::scope(|scope| {
        for mut client in clients {
            thread::Builder::new()
                .stack_size(256 << 10)
                .spawn_scoped(scope, move || {
                    for _ in 0..REQUESTS {
                        assert_eq!(client.ask("GET", "/v1/status", "").status, 200);
                    }
                })
                .unwrap();
        }
    });
    // init serves only a few clients at the same time. Those that have just gone may still count.
    assert!(host.init.most_clients() <= 20, "{}", host.init.most_clients());
    host.is_well();
}

#[test]
fn more_connections_than_the_limit_are_refused_and_later_ones_are_served() {
    let mut host = Host::start(json!({}));
    let clients: Vec<_> = (0..256).map(|_| host.connect(&host.reader)).collect();
    let refused = crate::kit::client::Client::connect(host.address, &host.pki, Some(&host.reader));
    assert!(refused.and_then(|mut client| client.try_ask("GET", "/v1/status", "")).is_err());
    drop(clients);
    host.wait_for("a place", |host| {
        let client = crate::kit::client::Client::connect(host.address, &host.pki, Some(&host.reader));
        client.and_then(|mut client| client.try_ask("GET", "/v1/status", "")).is_ok_and(|answer| answer.status == 200)
    });
    host.is_well();
}

#[test]
fn calls_that_last_have_a_limit_and_leave_room_for_short_ones() {
    let mut host = Host::start(json!({}));
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = host.connect(&host.reader);
        assert!(client.open("/v1/logs/netd?follow=true", "").starts_with("HTTP/1.1 200"));
        clients.push(client);
    }
    let answer = host.connect(&host.reader).ask("GET", "/v1/logs/netd?follow=true", "");
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    host.is_well();
}
