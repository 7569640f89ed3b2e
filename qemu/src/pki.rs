//! A temporary certificate authority. Its certificates let the docker client on this computer connect to docker in a virtual machine.

use crate::error::VmError;
use berth_contract::{
    engine::EngineKind,
    host_config::{DockerConfig, DockerTls, HostConfig},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::{Duration, SystemTime},
};

/// How long certificates are valid. They are used for one run only.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// Certificates are valid from this long before now, because the guest's clock may be behind this computer's clock.
const SLACK: Duration = Duration::from_secs(24 * 3600);

/// PEM texts of an authority and of the two certificates that the authority has signed.
#[derive(Clone, Debug)]
pub struct Pki {
    /// The authority's certificate.
    pub ca: String,
    /// The server's certificate and key, for 127.0.0.1 and localhost.
    pub server: (String, String),
    /// The client's certificate and key.
    pub client: (String, String),
}

fn failed(error: impl std::fmt::Display) -> VmError {
    VmError::Certificates(error.to_string())
}

/// Creates an authority and its certificates, valid around `now`.
///
/// # Errors
/// If the system has no source of randomness.
pub fn make(now: SystemTime) -> Result<Pki, VmError> {
    let params = |name: &str, hosts: &[&str]| -> Result<CertificateParams, VmError> {
        let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = (now - SLACK).into();
        params.not_after = (now + LIFETIME).into();
        Ok(params)
    };
    let mut ca = params("berth throw-away authority", &[])?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().map_err(failed)?).map_err(failed)?;
    let leaf = |name: &str, hosts: &[&str], usage| -> Result<(String, String), VmError> {
        let mut params = params(name, hosts)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &ca).map_err(failed)?;
        Ok((certificate.pem(), key.serialize_pem()))
    };
    Ok(Pki {
        server: leaf("berth host", &["127.0.0.1", "localhost"], ExtendedKeyUsagePurpose::ServerAuth)?,
        client: leaf("berth client", &[], ExtendedKeyUsagePurpose::ClientAuth)?,
        ca: ca.pem(),
    })
}

impl Pki {
    /// Writes the files that docker's client expects in `DOCKER_CERT_PATH`: ca.pem, cert.pem, key.pem.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_client(&self, folder: &Path) -> Result<(), VmError> {
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| VmError::Io { doing, path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io("make folder", folder))?;
        for (name, text) in [("ca.pem", &self.ca), ("cert.pem", &self.client.0), ("key.pem", &self.client.1)] {
            let path = folder.join(name);
            let file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
            let mut file = file.map_err(io("make", &path))?;
            std::io::Write::write_all(&mut file, text.as_bytes()).map_err(io("write", &path))?;
        }
        Ok(())
    }

    /// Adds docker's TLS listener to `config`, unless it has one.
    #[must_use]
    pub fn serve(&self, mut config: HostConfig) -> HostConfig {
        let (cert, key) = self.server.clone();
        let docker = config.docker.get_or_insert_with(DockerConfig::default);
        docker.tls.get_or_insert_with(|| DockerTls {
            listen: (Ipv4Addr::UNSPECIFIED, EngineKind::Docker.row().tls_port).into(),
            ca: self.ca.clone(),
            cert,
            key,
        });
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "openssl compares certificates with the current time")]
    fn openssl_accepts_the_chain_for_its_purposes_only() {
        let pki = make(SystemTime::now()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        pki.write_client(dir.path()).unwrap();
        let server = dir.path().join("server.pem");
        fs::write(&server, &pki.server.0).unwrap();
        let (ca, client) = (dir.path().join("ca.pem"), dir.path().join("cert.pem"));
        let verify = |purpose: &str, file: &Path| {
            tool::run(
                "openssl",
                &["verify", "-CAfile", ca.to_str().unwrap(), "-purpose", purpose, file.to_str().unwrap()],
            )
        };
        verify("sslserver", &server).unwrap();
        verify("sslclient", &client).unwrap();
        verify("sslserver", &client).unwrap_err();
        let text = tool::run("openssl", &["x509", "-noout", "-text", "-in", server.to_str().unwrap()]).unwrap();
        assert!(text.contains("IP Address:127.0.0.1") && text.contains("DNS:localhost"), "{text}");
        let config = pki.serve(HostConfig::default());
        config.check().unwrap();
        let again: HostConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
}
