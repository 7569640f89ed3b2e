//! `berth pack`.

use super::environment;
use crate::{
    report::{Advised, Report},
    source::oci::{self, BadReference, Packing, Reference},
};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Make an OCI archive from one statically linked program.
#[derive(Debug, Args)]
#[command(after_help = "SOURCE_DATE_EPOCH sets the time of the image. The default is 1970-01-01.")]
pub(super) struct Arguments {
    /// The program. It is put into the root folder of the image and is its entry point.
    program: PathBuf,
    /// Name of the image, and of the program in it [default: the program's].
    #[arg(long, value_name = "NAME[:TAG]")]
    name: Option<Reference>,
    /// Default argument of a container; repeatable.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    cmd: Vec<String>,
    /// The archive to write.
    #[arg(short, long, value_name = "FILE.tar")]
    output: PathBuf,
}

impl Arguments {
    /// Prints the archive's path.
    pub(super) fn run(self, report: &Report) -> Result<()> {
        let name = self.name.map_or_else(
            || {
                let file = self.program.file_name().unwrap_or_default().to_string_lossy();
                file.parse().map_err(|bad: BadReference| {
                    let message = format!("the program's name is not a valid name of an image: {bad}");
                    Advised::new(message, Some("give a name with --name".to_owned()))
                })
            },
            Ok,
        )?;
        let epoch = environment::source_date_epoch()?.unwrap_or(0);
        let image = oci::pack(&Packing { program: self.program, name, cmd: self.cmd, epoch })?;
        oci::publish(&image, &self.output)?;
        report.step("pack", format_args!("{} sha256:{}", image.name, image.image_id));
        Ok(report.data(self.output.display())?)
    }
}
