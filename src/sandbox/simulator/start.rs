//! Starting, stopping and reaching into a simulator.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, MutexGuard},
    time::Duration,
};

use axum::Router;
use chrono::NaiveDateTime;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    door::{Door, Slam},
    faults::{FaultSpec, Faults},
    posts::Posts,
    serve::serve,
    world::{Requests, RowOrder, Settings, World},
};
use crate::{
    log_event,
    sandbox::ledger::{Ledger, LedgerError, Load},
    telemetry::events::Event,
};

/// How a simulator begins.
#[derive(Debug, Clone)]
pub struct SimulatorOptions {
    /// Where it listens; port 0 is any free port.
    pub listen: SocketAddr,
    /// Everything random follows from it.
    pub seed: u64,
    /// Generated accounts, beside the documents' own.
    pub accounts: u32,
    /// Generated terminals.
    pub terminals: u32,
    /// Generated virtual-POS customers.
    pub customers: u32,
    /// Days of history.
    pub history_days: u32,
    /// Rows of each account and terminal a day of history; a third of it for the other streams.
    pub rows_per_day: u32,
    /// Things that happen by themselves each second: rows, late rows, edits, deletions.
    pub arrivals_per_second: f64,
    /// Scripted faults.
    pub faults: Vec<FaultSpec>,
    /// The order of rows in answers.
    pub order: RowOrder,
    /// Whether answers are packed for clients that take gzip.
    pub gzip: bool,
    /// Requests a minute above which 429 comes; nothing is enforced where it is left out.
    pub rate_limit: Option<u32>,
    /// A clock that stands still, for tests; the wall clock where it is left out.
    pub now: Option<NaiveDateTime>,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            seed: 1,
            accounts: 3,
            terminals: 2,
            customers: 5,
            history_days: 10,
            rows_per_day: 6,
            arrivals_per_second: 0.0,
            faults: Vec::new(),
            order: RowOrder::default(),
            gzip: false,
            rate_limit: None,
            now: None,
        }
    }
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("sandbox could not listen on {addr}")]
    Listen {
        /// Where it should have listened.
        addr: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The history could not be generated.
    #[error("sandbox could not generate its history")]
    History(#[from] LedgerError),
}

/// A running simulator; it ends when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    /// Where it listens.
    pub addr: SocketAddr,
    world: Arc<World>,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

/// How often arrivals are looked after.
const TICK: Duration = Duration::from_millis(200);

/// How long answers that are under way may take after a stop.
const DRAIN: Duration = Duration::from_millis(500);

impl Simulator {
    /// Generates the history and begins to serve.
    pub async fn start(options: SimulatorOptions) -> Result<Self, StartError> {
        let addr = options.listen;
        let listen = |source| StartError::Listen { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let (slams, slammed) = mpsc::channel(1);
        let world = Arc::new(begin(options, slams)?);
        let door = Door::new(listener, addr, slammed, Arc::clone(&world));
        let stop = CancellationToken::new();
        let router = Router::new().fallback(serve).with_state(Arc::clone(&world));
        let stopped = stop.clone();
        // Idle connections close with the server: a stopped source answers nobody.
        let served =
            axum::serve(door, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let arriving = arrive(Arc::clone(&world));
        let server = tokio::spawn(async move {
            tokio::select! {
                result = served.into_future() => if let Err(error) = result {
                    log_event!(Event::SandboxBroke, %error, "sandbox source stopped serving");
                },
                () = arriving => {}
                () = async {
                    stopped.cancelled().await;
                    tokio::time::sleep(DRAIN).await;
                } => {}
            }
        });
        Ok(Self { addr, world, stop, server })
    }

    /// `http://<addr>`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The ground truth, and the way to change it; release it before the next request.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.world.ledger()
    }

    /// Sets the faults anew; an empty list clears them.
    pub fn set_faults(&self, faults: Vec<FaultSpec>) {
        self.world.faults().set(faults);
    }

    /// The faults that have not run out, as they are written.
    pub fn faults(&self) -> Vec<String> {
        self.world.faults().list()
    }

    /// Makes every token that was handed out worthless.
    pub fn expire_tokens(&self) {
        self.world.tokens().expire_all();
    }

    /// What was asked for so far.
    pub fn requests(&self) -> Requests {
        self.world.requests().clone()
    }

    /// The cancels and refunds that were asked for so far, and what they did.
    pub fn posts(&self) -> Posts {
        self.world.posts().clone()
    }

    /// Lets the port refuse new connections for so long, counted from now; returns when it does.
    /// Connections that stand go on. No time at all opens it again.
    pub async fn refuse_connections(&self, time: Duration) {
        self.world.slam(time).await;
    }

    /// Stops serving and frees the port.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.server).await {
            log_event!(Event::SandboxBroke, %error, "sandbox source ended badly");
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn begin(options: SimulatorOptions, slams: mpsc::Sender<Slam>) -> Result<World, LedgerError> {
    let SimulatorOptions { seed, history_days: days, rows_per_day, .. } = options;
    let mut ledger = Ledger::documented(seed, options.now);
    let rows = rows_per_day * days;
    ledger.load(&Load {
        accounts: options.accounts,
        rows_per_account: rows,
        terminals: options.terminals,
        rows_per_terminal: rows,
        virtual_pos: rows / 3,
        tos: rows / 3,
        customers: options.customers,
        days,
        seed: None,
    })?;
    let settings =
        Settings::new(options.order, options.gzip, options.rate_limit, options.arrivals_per_second);
    Ok(World::new(ledger, Faults::new(options.faults, seed), settings, seed, slams))
}

/// Lets things happen at the rate that is set; it never ends by itself.
async fn arrive(world: Arc<World>) {
    let mut ticks = tokio::time::interval(TICK);
    let mut due = 0.0;
    loop {
        ticks.tick().await;
        due += world.settings().arrivals_per_second.max(0.0) * TICK.as_secs_f64();
        let count = due as u32;
        due -= f64::from(count);
        let ticked = world.ledger().tick(count);
        if let Err(error) = ticked {
            log_event!(Event::SandboxBroke, %error, "sandbox rows stopped arriving");
            return std::future::pending().await;
        }
    }
}
