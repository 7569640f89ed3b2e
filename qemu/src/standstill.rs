//! A boot that stands still before the boot loader or the kernel has said a word: a fault of the emulator or its firmware, not of the
//! image. It is told apart from a slow boot by samples of the guest's processors and of the reads of its disks.

use std::collections::BTreeSet;

/// Samples that a decision needs.
pub const SAMPLES: usize = 10;
/// How the firmware's own lines begin (EDK II's boot device selection).
const FIRMWARE_LINES: &str = "BdsDxe: ";
/// A program that waits in a loop goes through few pages of code; one that makes progress goes through more.
const MOST_PAGES: usize = 8;
const PAGE_BITS: u32 = 12;
/// Kernels run in the upper half of the address space; firmware, boot loader and stub run in the lower half.
const UPPER_HALF: u64 = 1 << 63;

/// What the guest was doing at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Address of the next instruction of each processor.
    pub addresses: Vec<u64>,
    /// Reads of all disks so far.
    pub reads: u64,
}

/// What console and samples say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Somebody after the firmware has written to the console. This boot is never judged again.
    Spoken,
    /// There are too few samples.
    TooEarly,
    /// The guest still works: it reads its disks, or runs through its code.
    Working,
    /// It is in a kernel that has not said a word. The machine must not be started anew: that would hide a fault of ours.
    InKernel,
    /// It stands still in firmware, boot loader or stub. The machine may be started anew, once.
    StandsStill,
}

/// Judges a boot by what its console has said since power-on, and by samples taken some seconds apart.
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

/// Addresses of the next instruction, from what QEMU's `info registers -a` prints.
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
    fn a_machine_that_moves_no_more_stands_still() {
        let halted = samples(|_| vec![0x7e5d_3a10, 0xfd0ac], |_| 812);
        assert_eq!(judge(STARTING, &halted), Judgement::StandsStill);
        assert_eq!(judge("", &halted), Judgement::StandsStill, "the firmware itself may be silent");
        assert_eq!(judge(STARTING, &halted[1..]), Judgement::TooEarly);
        assert_eq!(judge(STARTING, &[]), Judgement::TooEarly);
    }

    #[test]
    fn a_loop_is_no_progress() {
        // A wait for a timer or a device, in three drivers of the firmware.
        let spins = samples(
            |number| vec![[0x7e5d_3a10, 0x7e60_0123, 0x7f00_0999][usize::try_from(number % 3).unwrap()]],
            |_| 812,
        );
        assert_eq!(judge(STARTING, &spins), Judgement::StandsStill);
    }

    #[test]
    fn reads_of_the_disk_and_much_code_are_progress() {
        assert_eq!(judge(STARTING, &samples(|_| vec![0x7e5d_3a10], |number| 812 + number / 9)), Judgement::Working);
        assert_eq!(judge(STARTING, &samples(|number| vec![number << PAGE_BITS], |_| 812)), Judgement::Working);
        assert_eq!(judge(STARTING, &samples(|_| Vec::new(), |_| 812)), Judgement::Working, "QEMU has told nothing");
    }

    #[test]
    fn nobody_starts_a_machine_anew_after_a_word_or_in_a_kernel() {
        let halted = samples(|_| vec![0x7e5d_3a10], |_| 812);
        for word in
            ["EFI stub: Loaded initrd", "[    0.000000] Linux version 6.12", "init: root", ">>Start PXE over IPv4."]
        {
            assert_eq!(judge(&format!("{STARTING}{word}"), &halted), Judgement::Spoken, "{word}");
        }
        let kernel = samples(|_| vec![0x7e5d_3a10, 0xffff_ffff_8100_0000], |_| 812);
        assert_eq!(judge(STARTING, &kernel), Judgement::InKernel);
        assert_eq!(judge(STARTING, &kernel[..1]), Judgement::InKernel, "one look is enough");
    }

    #[test]
    fn addresses_are_found_among_registers() {
        let text = "\nCPU#0\nRAX=0000000000000000 RBX=000000007e1c2018\nRIP=000000007e5d3a10 RFL=00000202 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1\n\
            CPU#1\nEAX=00000000\nEIP=000fd0ac EFL=00000046 [---Z-P-] CPL=0 HLT=1\n";
        assert_eq!(addresses(text), [0x7e5d_3a10, 0xfd0ac]);
        assert_eq!(addresses("CPU#0\n PC=ffff800080010000 X00=0000000000000001\n"), [0xffff_8000_8001_0000]);
        assert!(addresses("RIP=none").is_empty());
    }
}
