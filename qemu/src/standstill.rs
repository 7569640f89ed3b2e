//! Detects a boot that hangs before the boot loader or the kernel has written to the console. This is a fault of the emulator or its
//! firmware, not of the image. Samples of the guest's processors and disk reads show whether a boot hangs or is only slow.

use std::collections::BTreeSet;

/// Number of samples that a decision needs.
pub const SAMPLES: usize = 10;
/// The start of the firmware's own console lines (EDK II's boot device selection).
const FIRMWARE_LINES: &str = "BdsDxe: ";
/// A program that waits in a loop executes code in few pages. If the samples show more pages than this, the program makes progress.
const MOST_PAGES: usize = 8;
const PAGE_BITS: u32 = 12;
/// Kernels run in the upper half of the address space; firmware, boot loader and stub run in the lower half.
const UPPER_HALF: u64 = 1 << 63;

/// The activity of the guest at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Address of the next instruction of each processor.
    pub addresses: Vec<u64>,
    /// Number of reads of all disks so far.
    pub reads: u64,
}

/// The state of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The boot loader, the kernel or init has written to the console. This boot is not judged again.
    Spoken,
    /// There are too few samples.
    TooEarly,
    /// The guest makes progress: it reads its disks, or executes code in many places.
    Working,
    /// The guest executes a kernel that has written nothing to the console. The machine must not be restarted: that would hide a fault of
    /// the image.
    InKernel,
    /// The guest hangs in firmware, boot loader or stub. The machine may be restarted once.
    StandsStill,
}

/// Judges a boot by the text on its console since power-on, and by samples. The samples must be some seconds apart.
#[must_use]
pub fn judge(console: &str, samples: &[Sample]) -> Judgement {
    if !only_firmware_has_spoken(console) {
        return Judgement::Spoken;
    }
    let addresses = || samples.iter().flat_map(|sample| &sample.addresses);
    if addresses().any(|address| address & UPPER_HALF != 0) {
        return Judgement::InKernel;
    }
    let (Some(first), true) = (samples.first(), samples.len() >= SAMPLES) else { return Judgement::TooEarly };
    let pages: BTreeSet<u64> = addresses().map(|address| address >> PAGE_BITS).collect();
    if pages.is_empty() || pages.len() > MOST_PAGES || samples.iter().any(|sample| sample.reads != first.reads) {
        return Judgement::Working;
    }
    Judgement::StandsStill
}

fn only_firmware_has_spoken(console: &str) -> bool {
    console.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with(FIRMWARE_LINES))
}

/// Address of the next instruction of each processor, from the output of QEMU's `info registers -a`.
#[must_use]
pub fn addresses(registers: &str) -> Vec<u64> {
    let word = |word: &str| {
        let value = ["RIP=", "EIP=", "PC="].iter().find_map(|name| word.strip_prefix(name))?;
        u64::from_str_radix(value, 16).ok()
    };
    registers.split_whitespace().filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTING: &str = "\nBdsDxe: loading Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x6,0x0)\n\
        BdsDxe: starting Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x6,0x0)\n";

    fn samples(addresses: impl Fn(u64) -> Vec<u64>, reads: impl Fn(u64) -> u64) -> Vec<Sample> {
        let count = u64::try_from(SAMPLES).unwrap();
        (0..count).map(|number| Sample { addresses: addresses(number), reads: reads(number) }).collect()
    }

    #[test]
    fn processors_that_do_not_move_and_no_reads_are_a_hang() {
        let halted = samples(|_| vec![0x7e5d_3a10, 0xfd0ac], |_| 812);
        assert_eq!(judge(STARTING, &halted), Judgement::StandsStill);
        assert_eq!(judge("", &halted), Judgement::StandsStill, "the firmware itself may be silent");
        assert_eq!(judge(STARTING, &halted[1..]), Judgement::TooEarly);
        assert_eq!(judge(STARTING, &[]), Judgement::TooEarly);
    }

    #[test]
    fn a_loop_over_few_pages_is_a_hang() {
        // The firmware waits for a timer or a device. The loop goes through three drivers.
        let spins = samples(
            |number| vec![[0x7e5d_3a10, 0x7e60_0123, 0x7f00_0999][usize::try_from(number % 3).unwrap()]],
            |_| 812,
        );
        assert_eq!(judge(STARTING, &spins), Judgement::StandsStill);
    }

    #[test]
    fn disk_reads_or_code_in_many_pages_are_progress() {
        assert_eq!(judge(STARTING, &samples(|_| vec![0x7e5d_3a10], |number| 812 + number / 9)), Judgement::Working);
        assert_eq!(judge(STARTING, &samples(|number| vec![number << PAGE_BITS], |_| 812)), Judgement::Working);
        assert_eq!(
            judge(STARTING, &samples(|_| Vec::new(), |_| 812)),
            Judgement::Working,
            "QEMU has reported no addresses"
        );
    }

    #[test]
    fn a_boot_with_console_text_or_in_a_kernel_is_never_a_hang() {
        let halted = samples(|_| vec![0x7e5d_3a10], |_| 812);
        for word in
            ["EFI stub: Loaded initrd", "[    0.000000] Linux version 6.12", "init: root", ">>Start PXE over IPv4."]
        {
            assert_eq!(judge(&format!("{STARTING}{word}"), &halted), Judgement::Spoken, "{word}");
        }
        let kernel = samples(|_| vec![0x7e5d_3a10, 0xffff_ffff_8100_0000], |_| 812);
        assert_eq!(judge(STARTING, &kernel), Judgement::InKernel);
        assert_eq!(judge(STARTING, &kernel[..1]), Judgement::InKernel, "one sample is enough");
    }

    #[test]
    fn addresses_are_read_from_the_registers_of_all_processors() {
        let text = "\nCPU#0\nRAX=0000000000000000 RBX=000000007e1c2018\nRIP=000000007e5d3a10 RFL=00000202 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1\n\
            CPU#1\nEAX=00000000\nEIP=000fd0ac EFL=00000046 [---Z-P-] CPL=0 HLT=1\n";
        assert_eq!(addresses(text), [0x7e5d_3a10, 0xfd0ac]);
        assert_eq!(addresses("CPU#0\n PC=ffff800080010000 X00=0000000000000001\n"), [0xffff_8000_8001_0000]);
        assert!(addresses("RIP=none").is_empty());
    }
}
