//! `hostctl support`: an archive for a bug report. The host makes it; the output of a command is only text of limited length, so another
//! computer fetches it in parts.

use super::{containers, now, on_host, write_out};
use anyhow::{Context, Result, ensure};
use berth_contract::digest::Sha256;
use berth_control::Client;
use berth_file::{Flush, replace};
use clap::Args;
use hostctl::{
    entries::Installed,
    support::{Known, collect, pack},
    why::{
        self,
        records::{RecordPaths, Records},
    },
};
use serde::{Deserialize, Serialize};
use sha2::Digest;
use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write, stdout},
    path::{Path, PathBuf},
};

/// The archive on the host, until another computer has fetched it.
const PLACE: &str = "/run/berth/support.tar.zst";
/// Bytes of a part. As hexadecimal digits it must fit into what init keeps of a command's output.
const PART: u64 = 64 << 10;
/// Bytes of a line of a part.
const LINE: usize = 2 << 10;

/// Make an archive for a bug report: status, logs, slots and settings, without passwords, private keys and environment variables
#[derive(Debug, Args)]
pub(crate) struct Support {
    /// File to write; `-` is stdout
    #[arg(short, long, value_name = "FILE", default_value = "support.tar.zst")]
    output: PathBuf,
    /// Keep the archive on the host, for another computer that fetches it
    #[arg(long, hide = true)]
    keep: bool,
    /// Print a part of the archive that was kept
    #[arg(long, hide = true, value_name = "NUMBER", conflicts_with = "keep")]
    part: Option<u64>,
    /// Remove the archive that was kept
    #[arg(long, hide = true, conflicts_with_all = ["keep", "part"])]
    remove: bool,
}

/// The archive that was kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    size: u64,
    digest: Sha256,
}

impl Support {
    /// On this host.
    pub(crate) fn here(self, client: &mut Client) -> Result<()> {
        let place = Path::new(PLACE);
        if let Some(number) = self.part {
            return print_part(place, number);
        }
        if self.remove {
            return fs::remove_file(place).with_context(|| format!("cannot remove {PLACE}"));
        }
        let known = Known {
            slots: Installed::find(Path::new("/")).ok().and_then(|all| serde_json::to_value(all.report().ok()?).ok()),
            why: serde_json::to_value(why::report(&Records::read(&RecordPaths::default()))).ok(),
            containers: containers::all().ok(),
        };
        let pieces = collect(client, &known)?;
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let bytes = pack(&format!("support-{name}"), &pieces, now())?;
        if !self.keep {
            return self.write(&bytes);
        }
        replace(place, &bytes, 0o600, Flush::Nothing)?;
        let kept = Kept { size: bytes.len() as u64, digest: Sha256(sha2::Sha256::digest(&bytes).into()) };
        write_out(&(serde_json::to_string(&kept)? + "\n"))
    }

    /// From the host that `client` is connected to.
    pub(crate) fn there(self, client: &mut Client) -> Result<()> {
        let said = said(client, &["support", "--keep"])?;
        let kept: Kept =
            serde_json::from_str(&said).context("cannot read the answer of `hostctl support` on the host")?;
        let mut bytes = Vec::new();
        for number in 0..kept.size.div_ceil(PART) {
            let part = said_part(client, number)?;
            ensure!(!part.is_empty(), "the host has sent an empty part of the archive");
            bytes.extend(part);
        }
        said_nothing(client, &["support", "--remove"])?;
        let digest = Sha256(sha2::Sha256::digest(&bytes).into());
        ensure!(digest == kept.digest, "the archive has changed on its way: expected {}, found {digest}", kept.digest);
        self.write(&bytes)
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        if self.output == Path::new("-") {
            return Ok(stdout().write_all(bytes)?);
        }
        replace(&self.output, bytes, 0o600, Flush::Content)?;
        write_out(&format!("{}\n", self.output.display()))
    }
}

fn print_part(place: &Path, number: u64) -> Result<()> {
    let mut file = fs::File::open(place).with_context(|| format!("cannot read {PLACE}"))?;
    file.seek(SeekFrom::Start(number.saturating_mul(PART)))?;
    let mut bytes = Vec::new();
    file.take(PART).read_to_end(&mut bytes)?;
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    write_out(&bytes.chunks(LINE).map(|line| digits(line) + "\n").collect::<String>())
}

fn said(client: &mut Client, words: &[&str]) -> Result<String> {
    let mut text = String::new();
    on_host(client, words.iter().copied(), |line| {
        text += &line.text;
        Ok(())
    })?;
    Ok(text)
}

fn said_nothing(client: &mut Client, words: &[&str]) -> Result<()> {
    said(client, words).map(drop)
}

fn said_part(client: &mut Client, number: u64) -> Result<Vec<u8>> {
    let digits = said(client, &["support", "--part", &number.to_string()])?;
    let byte = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    bytes.with_context(|| format!("part {number} of the archive: expected hexadecimal digits"))
}
