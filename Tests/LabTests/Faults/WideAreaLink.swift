import Foundation
import Glibc
import Lab
import Synchronization
import TestSupport

/// The link between two sites as a wide-area network is: slow, late, lossy, or cut, and changed while it is used.
///
/// A network interface in each site's namespace (TAP), with this process between them: it needs no support of the kernel for
/// delays and losses. Both are called and addressed as the lab's own link, which it replaces.
final class WideAreaLink: Sendable {
    struct Quality: Sendable {
        /// Bytes a second each way; 0 for as many as there are.
        var rate = 0.0
        /// Seconds that a packet is on its way.
        var delay = 0.0
        /// The share of packets that never arrive.
        var loss = 0.0
        var isCut = false
        /// The share of TCP segments of whose payload one bit arrives changed, with a checksum that fits.
        var flips = 0.0
    }

    private static let name = "wan0"
    private static let packetBytes = 9018
    /// A queue that is longer than this many seconds loses what comes.
    private static let longestQueue = 0.4

    private let state: Mutex<(quality: Quality, stops: Bool)>
    private let ended = Mutex(false)

    private let seed: UInt64

    /// Takes the place of the link of a lab that is up.
    init(_ lab: Lab, _ quality: Quality, seed: UInt64) async throws {
        state = Mutex((quality, false))
        self.seed = seed
        try await start(lab)
    }

    /// Does so again after `stop`, and after the lab has made its own.
    func start(_ lab: Lab) async throws {
        state.withLock { $0.stops = false }
        ended.withLock { $0 = false }
        let sites = SiteName.allCases.map { lab.layout(of: $0) }
        try output(of: ["ip", "-n", sites[0].networkNamespace, "link", "delete", Self.name])
        var interfaces: [Int32] = []
        for site in sites {
            interfaces.append(try await Self.interface(in: site.networkHandle))
            let own = ["ip", "-n", site.networkNamespace]
            try output(of: own + ["address", "add", "\(site.name.dataAddress)/30", "dev", Self.name])
            try output(of: own + ["link", "set", Self.name, "mtu", "9000", "up"])
        }
        let (first, second) = (interfaces[0], interfaces[1])
        Thread.detachNewThread { [self] in
            carry(first, second, seed)
            close(first)
            close(second)
            ended.withLock { $0 = true }
        }
    }

    var quality: Quality {
        get { state.withLock(\.quality) }
        set { state.withLock { $0.quality = newValue } }
    }

    func stop() async throws {
        state.withLock { $0.stops = true }
        try await untilSo("the link has ended") { ended.withLock { $0 } }
    }

    /// Makes a TAP interface in a namespace, which only a thread inside can.
    private static func interface(in namespace: String) async throws -> Int32 {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                let handle = open(namespace, O_RDONLY | O_CLOEXEC)
                let isInside = handle >= 0 && enter(handle)
                let interface = isInside ? open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1
                var request = [UInt8](repeating: 0, count: 40)
                request.replaceSubrange(0..<4, with: name.utf8)
                // IFF_TAP and IFF_NO_PI: whole frames and nothing before them.
                request[16] = 0x02
                request[17] = 0x10
                // TUNSETIFF of linux/if_tun.h.
                let isMade = interface >= 0 && ioctl(interface, 0x4004_54CA, &request) == 0
                let failure = POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
                if handle >= 0 { close(handle) }
                continuation.resume(with: isMade ? .success(interface) : .failure(failure))
            }
        }
    }

    /// setns(2) for this thread alone; glibc's header shows it to C++ and GNU C only.
    private static func enter(_ namespace: Int32) -> Bool {
        guard let symbol = dlsym(nil, "setns") else { return false }
        let setns = unsafeBitCast(symbol, to: (@convention(c) (Int32, Int32) -> Int32).self)
        // CLONE_NEWNET
        return setns(namespace, 0x4000_0000) == 0
    }

    private struct Packet {
        var due: Double
        var bytes: [UInt8]
    }

    private func carry(_ first: Int32, _ second: Int32, _ seed: UInt64) {
        var chance = Chance(seed: seed)
        let ways = [(from: first, to: second), (from: second, to: first)]
        var queues: [[Packet]] = [[], []]
        var heads = [0, 0]
        var free = [0.0, 0.0]
        var buffer = [UInt8](repeating: 0, count: Self.packetBytes)
        while true {
            let (quality, stops) = state.withLock { $0 }
            if stops { return }
            var wait = 0.02
            for way in 0..<2 {
                let now = Self.now
                while heads[way] < queues[way].count, queues[way][heads[way]].due <= now {
                    let packet = queues[way][heads[way]]
                    if !quality.isCut {
                        _ = packet.bytes.withUnsafeBytes { write(ways[way].to, $0.baseAddress, $0.count) }
                    }
                    heads[way] += 1
                }
                if heads[way] == queues[way].count {
                    (queues[way], heads[way]) = ([], 0)
                } else {
                    wait = min(wait, max(0, queues[way][heads[way]].due - now))
                }
            }
            var polled = ways.map { pollfd(fd: $0.from, events: Int16(POLLIN), revents: 0) }
            guard poll(&polled, 2, Int32((wait * 1000).rounded(.up))) > 0 else { continue }
            for way in 0..<2 where polled[way].revents != 0 {
                for _ in 0..<64 {
                    let count = read(ways[way].from, &buffer, buffer.count)
                    guard count > 0 else { break }
                    if quality.isCut || quality.loss > 0 && chance.seconds(in: 0...1) < quality.loss { continue }
                    var due = Self.now
                    if quality.rate > 0 {
                        due = max(due, free[way]) + Double(count) / quality.rate
                        if due - Self.now > Self.longestQueue { continue }
                        free[way] = due
                    }
                    var bytes = Array(buffer[..<count])
                    if quality.flips > 0, chance.seconds(in: 0...1) < quality.flips {
                        TCPSegment.flip(in: &bytes, &chance)
                    }
                    queues[way].append(Packet(due: due + quality.delay, bytes: bytes))
                }
            }
        }
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
