import SiteModel

/// How much a test VM may write, reckoned before it starts: its overlays share the store with the recovery points.
struct ScratchEstimate: Sendable {
    /// Of the disks' size, where nobody has said more.
    static let share = 0.1
    /// How many times the estimate is to be free before nothing is said.
    static let comfort: UInt64 = 2

    var bytes: UInt64
    var free: UInt64

    /// `wanted` is what the operator expects, in bytes; no overlay grows beyond its disk, so neither does the estimate.
    init(disks: [ReplicatedDisk], wanted: UInt64?, free: UInt64) {
        let whole = disks.reduce(0) { $0 + $1.size }
        bytes = min(wanted ?? UInt64(Double(whole) * Self.share), whole)
        self.free = free
    }

    var isRefused: Bool { free < bytes }
    var isTight: Bool { !isRefused && free / Self.comfort < bytes }

    var sentence: String { "the test VM may write \(Self.mib(bytes)), and \(Self.mib(free)) are free in the store" }

    private static func mib(_ bytes: UInt64) -> String { "\((bytes + (1 << 20) - 1) >> 20) MiB" }
}
