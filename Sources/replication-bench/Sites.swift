import BlockReplication
import Foundation
import SiteModel
import Synchronization

/// What one point took, and what it used.
struct Moved: Sendable {
    var seconds = 0.0
    var bytes = 0.0
    var sender = Usage()
    var receiver = Usage()

    /// As values of a contest.
    var values: [String: Double] {
        [
            "s": seconds, "ms": seconds * 1000, "bytes": bytes, "sender cpu": sender.processorSeconds,
            "receiver cpu": receiver.processorSeconds, "sender peak": sender.peakMebibytes,
            "receiver peak": receiver.peakMebibytes,
        ]
    }
}

/// Two sites on one machine: an agent process each.
final class Sites: Sendable {
    let a: AgentProcess
    let b: AgentProcess
    private let count = Atomic(0)

    /// With `encrypted`, the agents know each other by a certificate of an authority of their own.
    init(_ bench: Workbench, folder: String, encrypted: Bool = false) async throws {
        var identity: String?
        if encrypted {
            let authority = CertificateAuthority(folder: folder + "/authority")
            let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
            _ = try authority.create(from: now)
            let file = folder + "/agents.pem"
            _ = try authority.issue(for: ["127.0.0.1"], to: file, from: now)
            identity = file
        }
        let stores = folder + (encrypted ? "/store-tls" : "/store")
        a = try await AgentProcess(site: "a", store: stores + "-a", bench, identity: identity)
        do { b = try await AgentProcess(site: "b", store: stores + "-b", bench, identity: identity) } catch {
            a.end()
            throw error
        }
    }

    func end() {
        a.end()
        b.end()
    }

    static let vm = VMIdentity(name: "bench", uuid: "5f7e2f7e-6b50-4e33-9d5c-1f2b9a3d6c11")

    /// A relationship that was not there before.
    func relationship() -> String { "bench-\(count.add(1, ordering: .relaxed).newValue)" }

    static func generation() -> String { UUID().uuidString.lowercased() }

    /// The folder of a relationship's points at B.
    func points(_ relationship: String) -> String { "\(b.store)/points/\(relationship)" }

    /// Sends one point from A to B: opened, sent, sealed.
    ///
    /// `opened` is called between opening and sending and costs nothing; `compresses` is as in `SendPoint`.
    @discardableResult
    func point(
        _ relationship: String, as generation: String = Sites.generation(), after previous: String? = nil,
        _ disks: [SourceDisk], number: Int = 1, compresses: Bool? = nil, domainXML: String = "<domain/>",
        opened: (inout PointTicket) async throws -> Void = { _ in }
    ) async throws -> Moved {
        var moved = Moved()
        for agent in [a, b] { agent.forgetPeak() }
        let (usedA, usedB) = (a.processorSeconds, b.processorSeconds)
        var ticket: PointTicket?
        moved.seconds += try await seconds {
            ticket = try await b.client.openPoint(
                OpenPoint(
                    relationship: relationship, vm: Self.vm, generation: generation, previous: previous,
                    disks: disks.map { DiskGeometry(target: $0.target, size: $0.size) }))
        }
        guard var ticket else { throw BenchError("no ticket") }
        try await opened(&ticket)
        let sent = ticket
        moved.seconds += try await seconds {
            let summary = try await a.client.sendPoint(
                SendPoint(ticket: sent, disks: disks, compresses: compresses)
            ) { _ in }
            moved.bytes = Double(summary.bytes)
            _ = try await b.client.sealPoint(
                SealPoint(
                    relationship: relationship, generation: generation, number: number, cause: .crashConsistent,
                    at: Timestamp(milliseconds: 1_700_000_000_000), epoch: 1, owner: "a", domainXML: domainXML,
                    checksums: summary.checksums))
        }
        moved.sender.processorSeconds = a.processorSeconds - usedA
        moved.receiver.processorSeconds = b.processorSeconds - usedB
        moved.sender.peakMebibytes = a.peakMebibytes
        moved.receiver.peakMebibytes = b.peakMebibytes
        return moved
    }

    func forget(_ relationship: String) async throws { try await b.client.forget(relationship: relationship) }
}

extension SourceDisk {
    /// A disk of a stopped VM.
    static func stopped(
        _ path: String, _ format: String, size: UInt64, _ extents: Selection, target: String = "vda"
    ) -> SourceDisk {
        SourceDisk(
            target: target, size: size, from: .image(DiskImage(path: path, format: format)), extents: extents)
    }
}
