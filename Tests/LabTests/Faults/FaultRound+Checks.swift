import BlockReplication
import Foundation
import Glibc
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import VaultStore

/// What must be so after a fault.
extension FaultRound {
    /// Compares every point that the target's record names, byte by byte; after how many writes each was made, by number.
    ///
    /// Those that are known to be damaged need not be what was written, nor be readable at all.
    func judgePoints(damaged: Set<Int> = [], _ when: String = "") async throws -> [Int: ClosedRange<Int>] {
        let record = try site.copies.manifest(of: relationshipID, at: to).record
        var found: [Int: ClosedRange<Int>] = [:]
        for point in record.points {
            let contents: [[UInt8]]
            do {
                contents = try site.copies.contents(of: site.copies.images(of: point, relationshipID, at: to), at: to)
            } catch {
                if damaged.contains(point.number) { continue }
                throw RoundFailure("point \(point.number) cannot be read \(when): \(error)")
            }
            switch log.judge(contents) {
            case .different(let what, let bytes):
                if damaged.contains(point.number) { continue }
                report.lost += bytes
                throw RoundFailure("point \(point.number) \(when): \(what)")
            case .equal(let range): found[point.number] = range
            }
            report.points += 1
            report.bytes += contents.reduce(0) { $0 + $1.count }
        }
        return found
    }

    /// Rule: nothing is left of what was interrupted.
    func expectNothingLeft() async throws {
        var left: [String] = []
        // What a site tidies up once nobody is looking may take a moment.
        let deadline = ContinuousClock.now + .seconds(120)
        repeat {
            left = try await leftovers()
            if left.isEmpty { return }
            try await Task.sleep(for: .milliseconds(200))
        } while ContinuousClock.now < deadline
        throw RoundFailure("left over: \(left.joined(separator: "; "))")
    }

    private func leftovers() async throws -> [String] {
        var left: [String] = []
        let relationship = try await relationship()
        if let job = relationship.activeJob { left.append("job \(job) is open") }
        let hypervisor = try await site.hypervisor(from)
        if try await hypervisor.backupIsActive(uuid: uuid) { left.append("a backup is under way") }
        let checkpoints = try await hypervisor.checkpoints(uuid: uuid)
        if checkpoints.count > 1 { left.append("checkpoints \(checkpoints)") }
        for name in SiteName.allCases {
            let store = site.lab.layout(of: name).store
            for folder in ["scratch", "sockets"] {
                let files = try site.copies.files(in: "\(store)/\(folder)", at: name)
                if !files.isEmpty { left.append("\(folder) of \(name.rawValue): \(files)") }
            }
            let allowed = ["sleep", "libvirtd", "perilune", "dnsmasq"] + (name == from ? ["qemu-system-x86"] : [])
            let strays = try site.processes(at: name).filter { !allowed.contains($0.name) }
            if !strays.isEmpty { left.append("processes at \(name.rawValue): \(strays.map(\.name))") }
        }
        let folder = site.copies.folder(of: relationshipID, at: to)
        let text = try site.copies.manifest(of: relationshipID, at: to).text
        let known = ["manifest.json", ".lock", "lock"]
        let strangers = try site.copies.files(in: folder, at: to).filter { name in
            !known.contains(name) && !text.contains("\"\(name)\"")
        }
        if !strangers.isEmpty { left.append("files at the target: \(strangers)") }
        return left
    }

    /// Rule: the machine comes up from any point with that point's disks, and goes back to its own, which are as it left them.
    func failOver() async throws {
        var chance = plan.chance
        let all = try await vaultPoints()
        let points = all.filter { $0.damage == nil }
        guard !points.isEmpty else { throw RoundFailure("no point is whole: \(all.map(\.number))") }
        let chosen = chance.one(of: points)
        try await stopWriting()
        if chance.once(in: 2) { try await killMachine() } else { try await site.hypervisor(from).destroy(uuid: uuid) }
        try await awaitEnd()
        let record = try site.copies.manifest(of: relationshipID, at: to).record
        guard let stored = record.points.first(where: { $0.number == chosen.number }) else {
            throw RoundFailure("point \(chosen.number) is not at the target")
        }
        let content = try site.copies.contents(of: site.copies.images(of: stored, relationshipID, at: to), at: to)
        guard case .equal(let written) = log.judge(content) else {
            throw RoundFailure("point \(chosen.number) is damaged before the failover")
        }
        for point in all where point.damage != nil {
            try await expectRefusal(of: point.number, whole: points.last?.number)
        }
        try await perform(.unplannedFailover, ["point": "\(chosen.number)"])
        try await expectRunning(at: to, log.contents(after: written.lowerBound), "after the failover", &chance)
        try await perform(.undo)
        try await expectRunning(at: from, log.contents(after: log.begun), "after the way back", &chance)
    }

    /// The machine runs there, and reads what is expected through its own devices.
    private func expectRunning(
        at name: SiteName, _ expected: [[UInt8]], _ when: String, _ chance: inout Chance
    ) async throws {
        guard try await site.hypervisor(name).domain(uuid: uuid)?.power == .running else {
            throw RoundFailure("the machine does not run at \(name.rawValue) \(when)")
        }
        let disks = try VirtioBlocks(
            path: machine.socket(at: site.lab.layout(of: name)), sizes: machine.diskBytes)
        for disk in expected.indices {
            for _ in 0..<8 {
                let offset = chance.number(in: 0...(expected[disk].count - 65536) / 512) * 512
                let found = try disks.read(65536, disk: disk, at: offset)
                guard found == Array(expected[disk][offset..<offset + 65536]) else {
                    throw RoundFailure("disk \(disk) reads wrong at \(offset) \(when)")
                }
            }
        }
    }

    // MARK: - The end

    /// Ends replication, which must leave nothing at the target, and removes the machine.
    func remove() async throws {
        try await perform(.unprotect)
        let folder = site.copies.folder(of: relationshipID, at: to)
        let left = try site.copies.files(in: folder, at: to)
        // The disks that the machine had before it was protected were never in that folder.
        guard left.allSatisfy({ $0 == "lock" || $0 == ".lock" }) else {
            throw RoundFailure("after the end of protection \(folder) has \(left)")
        }
        for name in SiteName.allCases {
            let hypervisor = try await site.hypervisor(name)
            if try await hypervisor.domain(uuid: uuid) != nil {
                try await hypervisor.destroy(uuid: uuid)
                try await hypervisor.undefine(uuid: uuid)
            }
            let layout = site.lab.layout(of: name)
            try site.run(at: name, ["rm", "-rf", site.copies.folder(of: relationshipID, at: name)])
            for disk in machine.diskBytes.indices {
                try site.run(at: name, ["rm", "-f", machine.file(disk, at: layout)])
            }
        }
    }
}
