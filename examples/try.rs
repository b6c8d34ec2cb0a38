use std::sync::Arc;
use vomsis_connect::{app::{App, Broker, Readiness}, kafka::viewing::{Viewer, From}, publish::{decode::Decoder, registry::Registry}, sandbox::{SimulatorOptions, embedded::Embedded}, telemetry::metrics::Metrics};
#[derive(Debug)] struct R;
impl Readiness for R { fn kafka_known(&self){eprintln!("kafka known");} fn schemas_known(&self){eprintln!("schemas known");} fn shards_changed(&self, p:&std::collections::HashMap<i32, vomsis_connect::shards::owner::Phase>){eprintln!("shards {p:?}");} }
#[tokio::main] async fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(std::env::var("RUST_LOG").unwrap_or("info".into())).init();
    let dir = std::path::PathBuf::from("/tmp/sbx"); std::fs::remove_dir_all(&dir).ok();
    let e = Embedded::start(SimulatorOptions{arrivals_per_second: 2.0, ..Default::default()}, &dir).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let config = Arc::new(e.config.clone());
    let app = App::new(config.clone(), Broker::Mock, Arc::new(Metrics::new()), Arc::new(R));
    let s2 = stop.clone();
    let h = tokio::spawn(app.run(s2));
    let secs: u64 = std::env::args().nth(1).map_or(10, |s| s.parse().unwrap());
    let topics: Vec<String> = vomsis_connect::kafka::topics::desired(&config.kafka).into_iter().map(|t| t.name).filter(|n| !n.contains("internal")).collect();
    let mut v = Viewer::open(&config.kafka, &topics, From::Beginning).unwrap();
    let mut d = Decoder::new(Registry::new(&config.schema_registry).unwrap());
    let t = std::time::Instant::now();
    let mut n = std::collections::BTreeMap::new();
    while t.elapsed().as_secs() < secs {
        let r = tokio::task::block_in_place(|| v.next(std::time::Duration::from_millis(200))).unwrap();
        if let Some(r) = r { *n.entry(r.topic.clone()).or_insert(0)+=1; if let Some(val) = r.value { let j = d.decode(&val).await.unwrap(); if n[&r.topic] <= 2 { println!("{} {} {}", r.topic, r.key, j); } } }
    }
    eprintln!("{n:?}");
    stop.cancel(); let t=std::time::Instant::now(); h.await.unwrap().unwrap(); eprintln!("stopped in {:?}", t.elapsed());
}
