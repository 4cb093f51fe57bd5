/// A guest of the lab: a VM whose only work is a log that proves what reached its disks.
package struct LabGuest: Sendable, Hashable {
    /// The VM's name: letters, digits, `-`.
    package var name: String
    /// Its static IPv4 address in the guests' subnet.
    package var address: String
    /// How many disks it writes each record to, one after the other: 1 to 8.
    package var disks: Int
    /// The size of each disk in bytes; 16 MiB at least, half of it log.
    package var diskBytes: Int64
    /// Records a second, or 0 for as many as the disks sync.
    package var recordsPerSecond: Int
    /// KiB of random data written to each disk beside each record, at most 64.
    package var payloadKiB: Int
    /// Whether it writes nothing until told to resume.
    package var paused: Bool
    /// Whether it ignores the power button, as a guest that hangs does.
    package var ignoresPowerButton: Bool
    /// Whether QEMU's guest agent runs in it, with a file system on one more disk; the log stands still while that is frozen.
    package var hasAgent: Bool

    package init(
        name: String, address: String, disks: Int = 1, diskBytes: Int64 = 256 << 20, recordsPerSecond: Int = 20,
        payloadKiB: Int = 0, paused: Bool = false, ignoresPowerButton: Bool = false, hasAgent: Bool = false
    ) {
        self.name = name
        self.address = address
        self.disks = disks
        self.diskBytes = diskBytes
        self.recordsPerSecond = recordsPerSecond
        self.payloadKiB = payloadKiB
        self.paused = paused
        self.ignoresPowerButton = ignoresPowerButton
        self.hasAgent = hasAgent
    }

    /// The lab's guests: the management server and two workloads, one of them with two disks.
    package static let standard = [
        LabGuest(name: "vmm01", address: "10.77.0.10"),
        LabGuest(name: "orders", address: "10.77.0.11", disks: 2, payloadKiB: 16),
        LabGuest(name: "web", address: "10.77.0.12"),
    ]

    func check() throws(LabError) {
        let plain =
            !name.isEmpty && name.utf8.count <= 31
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
        guard plain, name.first != "-" else {
            throw LabError(.invalid, "'\(name)' is no guest's name.", hint: "1 to 31 of a-z, 0-9 and '-'")
        }
        let octets = address.split(separator: ".", omittingEmptySubsequences: false)
        guard address.hasPrefix("10.77.0."), octets.count == 4, let last = UInt8(octets[3]), (2...254).contains(last)
        else {
            throw LabError(.invalid, "'\(address)' is no guest's address.", hint: "10.77.0.2 to 10.77.0.254")
        }
        guard (1...8).contains(disks), diskBytes >= 16 << 20, (0...64).contains(payloadKiB), recordsPerSecond >= 0
        else {
            throw LabError(
                .invalid, "Guest '\(name)' has settings it cannot run with.",
                hint: "1 to 8 disks of at least 16 MiB, payload 0 to 64 KiB, a rate of 0 or more")
        }
    }

    /// The disk files at a site, in the order of the guest's devices.
    package func diskFiles(at site: SiteLayout) -> [String] {
        deviceNames.map { "\(site.images)/\(name)-\($0).qcow2" }
    }

    /// The log's disks, then the one with the file system.
    var deviceNames: [String] { "abcdefghi".prefix(disks + (hasAgent ? 1 : 0)).map { "vd\($0)" } }

    /// The file of the disk with the file system; nil when it has none.
    func fileSystemDisk(at site: SiteLayout) -> String? { hasAgent ? diskFiles(at: site).last : nil }

    /// The kernel command line that gives the guest its settings (lab/guest/cmdline.c).
    var kernelArguments: String {
        [
            "console=ttyS0", "quiet", "panic=-1", "label=\(name)", "ip=\(address)", "mask=255.255.255.0",
            "gw=\(SiteNetwork.gateway)", "rate=\(recordsPerSecond)", "disks=\(disks)", "payload=\(payloadKiB)",
            "paused=\(paused ? 1 : 0)", "ignore_power=\(ignoresPowerButton ? 1 : 0)", "agent=\(hasAgent ? 1 : 0)",
        ].joined(separator: " ")
    }
}
