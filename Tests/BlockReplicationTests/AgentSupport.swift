import Foundation
import Glibc
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

/// Runs a program to its end on a thread of its own, and returns what it said; throws when it fails.
@discardableResult
func runTool(_ arguments: String...) async throws -> String {
    let result = try await Program.result(of: arguments)
    guard result.status == 0 else { throw ProgramFailed(words: arguments, said: result.output + result.errors) }
    return result.output
}

/// Two sites on one machine: an agent each, with its own store, control socket and data port on the loopback.
final class TwoSites: Sendable {
    private let scratch: Scratch
    var folder: String { scratch.path }
    let a: AgentServer
    let b: AgentServer
    let clientA: AgentClient
    let clientB: AgentClient
    let relationship = "orders"
    let vm = VMIdentity(name: "orders", uuid: "5f7e2f7e-6b50-4e33-9d5c-1f2b9a3d6c11")

    /// Starts both agents; `storeB` puts the second one's store elsewhere.
    init(
        storeB: String? = nil, limits: AgentLimits = AgentLimits(),
        security: (a: DataSecurity, b: DataSecurity) = (.local, .local)
    ) throws {
        scratch = try Scratch()
        let folder = scratch.path
        a = try AgentServer(
            site: "a", controlSocket: folder + "/a/control", listen: "127.0.0.1:0", store: folder + "/a/store",
            security: security.a, limits: limits)
        b = try AgentServer(
            site: "b", controlSocket: folder + "/b/control", listen: "127.0.0.1:0",
            store: storeB ?? folder + "/b/store", security: security.b, limits: limits)
        clientA = AgentClient(controlSocket: folder + "/a/control")
        clientB = AgentClient(controlSocket: folder + "/b/control")
    }

    /// Stops both agents and removes all files.
    func end() async {
        clientA.close()
        clientB.close()
        await a.stop()
        await b.stop()
        scratch.remove()
    }

    /// Runs a test's body, and ends the sites whatever comes of it.
    static func with<Value: Sendable>(
        storeB: String? = nil, limits: AgentLimits = AgentLimits(),
        security: (a: DataSecurity, b: DataSecurity) = (.local, .local), _ body: (TwoSites) async throws -> Value
    ) async throws -> Value {
        let sites = try TwoSites(storeB: storeB, limits: limits, security: security)
        do {
            let value = try await body(sites)
            await sites.end()
            return value
        } catch {
            await sites.end()
            throw error
        }
    }

    func file(_ name: String) -> String { folder + "/" + name }

    /// A qcow2 image with random data at every third MiB, explicit zeros in some and holes in the rest.
    func makeImage(_ name: String, mebibytes: Int, seed: UInt64 = 1, bitmap: String? = nil) async throws -> DiskImage {
        let raw = file(name + ".raw")
        try await runTool("truncate", "--size=\(mebibytes)M", raw)
        try Self.scribble(raw, mebibytes: mebibytes, seed: seed)
        let path = file(name + ".qcow2")
        try await runTool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path)
        try await runTool("qemu-io", "-f", "qcow2", "-c", "write -z 1M 300k", path)
        unlink(raw)
        if let bitmap { try await runTool("qemu-img", "bitmap", "--add", path, bitmap) }
        return DiskImage(path: path, format: "qcow2")
    }

    /// Writes random data at every third MiB of a raw file.
    static func scribble(_ path: String, mebibytes: Int, seed: UInt64) throws {
        let file = Glibc.open(path, O_WRONLY)
        defer { Glibc.close(file) }
        var generator = SeededGenerator(seed: seed)
        let words = (1 << 20) / 8
        for index in stride(from: 0, to: mebibytes, by: 3) {
            let data = (0..<words).map { _ in generator.next() }
            let written = data.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, off_t(index) << 20) }
            guard written == 1 << 20 else { throw ReplicationError.system("writing a test image", errno: errno) }
        }
    }

    /// Sends one point from A to B and seals it there.
    @discardableResult
    func cycle(
        _ generation: String, after previous: String?, _ disks: [SourceDisk], number: Int = 1, epoch: Int = 1
    ) async throws -> (sealed: PointSummary, moved: TransferSummary) {
        let ticket = try await open(generation, after: previous, disks)
        let moved = try await clientA.sendPoint(SendPoint(ticket: ticket, disks: disks)) { _ in }
        return (try await seal(generation, moved.checksums, number: number, epoch: epoch), moved)
    }

    func open(_ generation: String, after previous: String?, _ disks: [SourceDisk]) async throws -> PointTicket {
        try await clientB.openPoint(
            OpenPoint(
                relationship: relationship, vm: vm, generation: generation, previous: previous,
                disks: disks.map { DiskGeometry(target: $0.target, size: $0.size) }))
    }

    func seal(_ generation: String, _ checksums: [String: String], number: Int = 1, epoch: Int = 1) async throws
        -> PointSummary
    {
        try await clientB.sealPoint(
            SealPoint(
                relationship: relationship, generation: generation, number: number, cause: .crashConsistent,
                at: Timestamp(milliseconds: 1_700_000_000_000), epoch: epoch, owner: "a",
                domainXML: "<domain/>", checksums: checksums))
    }

    /// Whether a disk of a point at B reads as the image does, in the eyes of qemu-img.
    func atB(_ generation: String, _ target: String, equals image: DiskImage) async throws -> Bool {
        guard let store = try await b.service.stores.existing(relationship),
            let top = try await store.chain(of: .point(generation), target: target).first
        else { return false }
        let result = try? await runTool(
            "qemu-img", "compare", "-f", image.format, "-F", top.format.rawValue, image.path, top.path)
        return result?.contains("identical") == true
    }

    static func generation(_ number: Int) -> String {
        let digits = String(number)
        return "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
    }
}

extension SourceDisk {
    /// A disk of a stopped VM.
    static func stopped(
        _ image: DiskImage, mebibytes: Int, _ extents: Selection, target: String = "vda"
    ) -> SourceDisk {
        SourceDisk(target: target, size: UInt64(mebibytes) << 20, from: .image(image), extents: extents)
    }
}

/// The code of the replication error that `body` throws; nil when it throws none.
func code(_ body: () async throws -> Void) async -> ReplicationError.Code? {
    do {
        try await body()
        return nil
    } catch { return (error as? ReplicationError)?.code }
}

/// Waits until something is so, asking again and again; false after twenty seconds.
func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
    let limit = ContinuousClock.now + .seconds(120)
    while ContinuousClock.now < limit {
        if try await condition() { return true }
        // Not by blocking: the tasks that bring the condition about share these threads.
        do { try await Task.sleep(for: .milliseconds(5)) } catch { return false }
    }
    return false
}
