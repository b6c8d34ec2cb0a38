//! The whole way over TLS: the APIs and the registry by HTTPS, the broker by SASL_SSL.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_native_tls::{
    TlsAcceptor,
    native_tls::{self, Identity},
};

use super::stage::{DEADLINE, Stage, end};
use crate::harness::{
    components::component,
    kafka::{Broker, BrokerOptions},
    registry::shared_registry,
};

const PASSWORD: &str = "sandbox-password";

/// A certificate for this machine that nobody else trusts, made anew.
struct Certificate {
    folder: TempDir,
}

impl Certificate {
    fn make() -> Self {
        let folder = tempfile::Builder::new().prefix("vomsis-tls-").tempdir().unwrap();
        let made = Self { folder };
        made.keytool(&[
            "-genkeypair",
            "-keyalg",
            "RSA",
            "-dname",
            "CN=localhost",
            "-validity",
            "30",
            "-ext",
            "san=ip:127.0.0.1,dns:localhost",
        ]);
        let authority = made.authority();
        made.keytool(&["-exportcert", "-rfc", "-file", authority.to_str().unwrap()]);
        made
    }

    fn keytool(&self, arguments: &[&str]) {
        let mut command = Command::new(component("java-broker").join("bin/keytool"));
        command.args(arguments).args(["-alias", "own", "-storetype", "PKCS12"]);
        command.args(["-storepass", PASSWORD, "-keystore"]).arg(self.store());
        let output = command.stdin(Stdio::null()).output().expect("keytool runs");
        assert!(output.status.success(), "{output:?}");
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store.p12")
    }

    /// The file to trust.
    fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }
}

/// Takes TLS on a port of its own and passes what is inside on to a plain address.
struct Terminator {
    url: String,
    // what it runs on
    _runtime: Runtime,
}

impl Terminator {
    fn before(plain: &str, certificate: &Certificate) -> Self {
        let store = fs::read(certificate.store()).unwrap();
        let identity = Identity::from_pkcs12(&store, PASSWORD).unwrap();
        let acceptor = TlsAcceptor::from(native_tls::TlsAcceptor::new(identity).unwrap());
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let place = plain.trim_start_matches("http://");
        let (address, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let url = format!("https://{}{path}", listener.local_addr().unwrap());
        let address = address.to_owned();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, address) = (acceptor.clone(), address.clone());
                tokio::spawn(async move {
                    // Whoever does not trust the certificate ends here.
                    let Ok(mut client) = acceptor.accept(stream).await else { return };
                    let mut server = TcpStream::connect(address).await.unwrap();
                    let _either_side_ended = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { url, _runtime: runtime }
    }
}

/// A broker whose clients log in by name and password, over TLS.
fn broker(certificate: &Certificate) -> Broker {
    let store = certificate.store().display().to_string();
    let login = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_vomsis=\"{PASSWORD}\";"
    );
    let protocols = "CLIENT:SASL_SSL,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT";
    let properties = [
        ("listener.security.protocol.map", protocols),
        ("ssl.keystore.type", "PKCS12"),
        ("ssl.keystore.location", &store),
        ("ssl.keystore.password", PASSWORD),
        ("sasl.enabled.mechanisms", "PLAIN"),
        ("listener.name.client.plain.sasl.jaas.config", &login),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    Broker::start(BrokerOptions { properties, ..BrokerOptions::default() })
}

#[test]
fn every_row_arrives_over_tls_and_an_unknown_authority_is_named() {
    let certificate = Certificate::make();
    let broker = broker(&certificate);
    let stage = Stage::with_broker("tls", &broker.client_bootstrap(), &broker.bootstrap());
    let api = stage.source.simulator.base_url();
    let in_front =
        [&api, shared_registry().url()].map(|plain| Terminator::before(plain, &certificate));
    let [secure_api, secure_registry] = &in_front;
    stage.change("", &api, &secure_api.url);
    stage.change_registry(&secure_registry.url);
    let secure = "properties: {security.protocol: SASL_SSL, sasl.mechanism: PLAIN, \
                  sasl.username: vomsis, sasl.password_file: \"{home}/password\"}, consumer_properties";
    let home = stage.home.path().display().to_string();
    stage.change("bootstrap_servers", "consumer_properties", &secure.replace("{home}", &home));
    stage.home.write("password", PASSWORD);

    let (code, stdout, stderr) = stage.command(&["check", "-o", "json"]);
    assert_ne!(code, 0, "nobody trusts the certificate: {stdout}");
    for target in ["vomsis", "registry", "kafka"] {
        let says_why = |step: &Value| {
            step["target"] == target && step["detail"].as_str().unwrap().contains("certificate")
        };
        let steps: Value = serde_json::from_str(&stdout).unwrap();
        assert!(steps.as_array().unwrap().iter().any(says_why), "{target}: {stdout} {stderr}");
    }

    let authority = certificate.authority().display().to_string();
    let mut connector = stage.home.run_with(&[("SSL_CERT_FILE", authority.as_str())]);
    connector.wait_for_status("/readyz", 200, DEADLINE);
    stage.wait_for_all();
    end(&mut connector);
    stage.assert_exactly_once();
}
