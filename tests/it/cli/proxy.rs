//! The way out through a proxy, as docs/deploy/egress-ip.md tells it.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use crate::harness::process::Home;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vomsis-connect");
const DEADLINE: Duration = Duration::from_secs(120);
/// The default APIs and a registry that nobody could reach without the proxy.
const CONFIG: &str = "
connections: [{id: acme, bank_pos: {app_key_file: '{home}/key', app_secret_file: '{home}/key'}, virtual_pos: {}}]
schema_registry: {url: 'https://registry.invalid'}
state: {dir: '{home}/state'}
";

/// A proxy that tells who was asked for and lets nobody through.
fn proxy() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, heard) = channel();
    thread::spawn(move || listener.incoming().flatten().all(|stream| refuse(stream, &asked)));
    (address, heard)
}

/// Whether somebody still listens.
fn refuse(mut stream: TcpStream, asked: &Sender<String>) -> bool {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let _headers = lines.take_while(|line| !line.is_empty()).count();
    // Before the answer: who has it may have ended when this goes on.
    let heard = asked.send(first).is_ok();
    drop(stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"));
    heard
}

/// The tunnels that `check` asks for.
fn tunnels(no_proxy: &str) -> BTreeSet<String> {
    let (address, heard) = proxy();
    let home = Home::new(CONFIG);
    home.write("key", "k");
    let mut command = Command::new(PROGRAM);
    command
        .args(["check", "--only", "vomsis,registry", "--config"])
        .arg(home.path().join("config.yaml"))
        .env_remove("no_proxy")
        .env_remove("https_proxy")
        .env("HTTPS_PROXY", format!("http://{address}"))
        .env("NO_PROXY", no_proxy);
    assert_ne!(home.spawn(&command).wait(DEADLINE), 0);
    heard.try_iter().collect()
}

fn to(hosts: &[&str]) -> BTreeSet<String> {
    hosts.iter().map(|host| format!("CONNECT {host}:443 HTTP/1.1")).collect()
}

#[test]
fn apis_and_registry_are_asked_through_the_proxy_of_the_environment() {
    let all = to(&["developers.vomsis.com", "uygulama.vomsis.com", "registry.invalid"]);
    assert_eq!(tunnels(""), all);
}

#[test]
fn who_is_named_in_no_proxy_is_asked_without_it() {
    assert_eq!(tunnels(".invalid"), to(&["developers.vomsis.com", "uygulama.vomsis.com"]));
}
