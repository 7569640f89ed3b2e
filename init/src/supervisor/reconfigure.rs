//! A change of the configuration while the host runs.

use super::{declared::declared, helper::Helper, process::Errors, running_host::RunningHost, settings};
use crate::{
    config::{self, CurrentConfig, change},
    console, hostname, sysctl,
};
use berth_contract::{
    control::{ConfigChange, ConfigStatus},
    host_config::HostConfig,
};

/// The program that loads kernel modules.
const MODPROBE: &str = "/sbin/modprobe";

impl RunningHost {
    /// Takes the configuration that hostctl has written. A service whose part has changed takes it as its file says.
    ///
    /// # Errors
    /// The file cannot be read or is not valid. Then nothing has changed.
    pub(super) fn reconfigure(&mut self, place: &str, watch: bool) -> Result<ConfigChange, String> {
        let new = config::next(&self.paths.next_config).map_err(|error| error.to_string())?;
        let mut change = change::compare(&self.settings, &new);
        let status = ConfigStatus { source: Some(place.to_owned()), ..ConfigStatus::default() };
        let current = CurrentConfig { config: new, status, is_substitute: false };
        console::announce(&format!("configuration of {place}: {}", change.changed.join(", ")));
        let mut fail = |error: String| {
            console::error(format_args!("configuration of {place}: {error}"));
            change.failed.push(error);
        };
        if let Err(error) = (self.paths.apply)(&current, &self.image) {
            fail(error.to_string());
        }
        if self.settings.sysctl != current.config.sysctl
            && let Err(error) = sysctl::apply()
        {
            fail(error.to_string());
        }
        if self.settings.hostname != current.config.hostname
            && let Err(error) = hostname::configure(current.config.hostname.as_deref(), &self.machine_id)
        {
            fail(error.to_string());
        }
        let specs: Vec<_> = self
            .fleet
            .names()
            .into_iter()
            .filter_map(|name| Some((self.fleet.states.spec(&name)?.clone(), name)))
            .collect();
        for (spec, name) in specs {
            match settings::write(&self.paths.service_config, &name, &spec, &current.config) {
                Ok(true) => self.fleet.reload(&name),
                Ok(false) => {}
                Err(error) => fail(format!("settings of service {name}: {error}")),
            }
        }
        let modules =
            |config: &HostConfig| config.kernel.as_ref().map(|kernel| kernel.modules.clone()).unwrap_or_default();
        let old = modules(&self.settings);
        for module in modules(&current.config).into_iter().filter(|module| !old.contains(module)) {
            self.help(vec![MODPROBE.to_owned(), "--".to_owned(), module], false);
        }
        if watch {
            let words = [&self.paths.hostctl.display().to_string(), "config", "watch"];
            self.help(words.map(str::to_owned).to_vec(), true);
        }
        self.fleet.set_environment(config::environment(&current.config));
        (self.declared, self.verdict_limit) = declared(&current.config, &self.image);
        (self.settings, self.config) = (current.config, current.status);
        Ok(change)
    }

    /// Starts the program that fetches host.toml from the address in the kernel's command line.
    pub(super) fn fetch_config(&mut self) {
        let words = [&self.paths.hostctl.display().to_string(), "config", "fetch"];
        self.help(words.map(str::to_owned).to_vec(), true);
    }

    fn help(&mut self, words: Vec<String>, is_needed: bool) {
        let (programs, cgroups) = (&mut self.fleet.programs, &self.fleet.cgroups);
        match programs.start("config", &words, Errors::WithOutput, None, cgroups) {
            Ok(program) => self.helpers.push(Helper { words, program, is_needed }),
            Err(error) => console::error(format_args!("{error}")),
        }
    }

    /// Reports the helpers that have ended, and starts those again that are needed and have failed.
    pub(super) fn tend_helpers(&mut self) {
        for helper in std::mem::take(&mut self.helpers) {
            let Some((exit, _)) = self.fleet.programs.end(helper.program.number()) else {
                self.helpers.push(helper);
                continue;
            };
            for line in self.fleet.programs.last_lines(helper.program.number(), 10) {
                console::info(format_args!("{}", line.text));
            }
            if !exit.is_success() {
                console::error(format_args!("{}: {exit}", helper.words.join(" ")));
                if helper.is_needed && self.ending.is_none() {
                    self.help(helper.words, true);
                }
            }
        }
    }
}
