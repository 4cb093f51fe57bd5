import BlockReplication
import Foundation
import Glibc
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import VaultStore

/// What storage has changed: it is found, told of the right points, and never taken for good again.
extension FaultRound {
    /// Flips the bits of the plan, with everything at rest.
    func flipBits() async throws {
        var chance = plan.chance
        for fault in plan.faults where fault.isFlip {
            let pid = try await site.agentProcess(to)
            let stored = try StoredFaults(folder: "/proc/\(pid)/root\(site.copies.folder(of: relationshipID, at: to))")
            guard let bit = try stored.flip(fault, &chance) else { continue }
            flipped.append(bit)
            report.way.append("flipped: \(bit.text)")
        }
    }

    /// Numbers of the points that are known to be damaged, as the vault has them.
    private func knownDamage() async throws -> Set<Int> {
        Set(try await vaultPoints().filter { $0.damage != nil }.map(\.number))
    }

    /// Rule: after all points have been read, each that is not what was written is known to be damaged; and none that has nothing to
    /// do with what was changed.
    func expectDamageKnown() async throws {
        try await perform(.verifyPoint, ["point": "all"])
        let known = try await compareSoundPoints("after all were checked")
        guard plan.mayDamage else {
            guard known.isEmpty else {
                throw RoundFailure("points \(known.sorted()) are said to be damaged, and none is")
            }
            return
        }
        report.damaged = known.count
        let numbers = Set(try await vaultPoints().map(\.number))
        for bit in flipped where bit.isDefinition {
            if numbers.contains(bit.number), !known.contains(bit.number) {
                throw RoundFailure("nobody has found that the \(bit.text) was changed")
            }
        }
        if let oldest = flipped.map(\.number).min(), !plan.faults.contains(where: \.isStorageError) {
            let wrong = known.filter { $0 < oldest }
            guard wrong.isEmpty else {
                throw RoundFailure("points \(wrong.sorted()) are said to be damaged, and are older than the damage")
            }
        }
        // Verification against the source sends again what is wrong, and merging must not wash the rest clean.
        try await write(10)
        try await perform(.verify)
        try await compareSoundPoints("after the verification")
        for _ in 0..<2 {
            try await write(10)
            try await perform(.sync)
        }
        try await compareSoundPoints("after further cycles")
        try await perform(.verifyPoint, ["point": "all"])
        let last = try await compareSoundPoints("after all were checked again")
        if let newest = try await vaultPoints().last, last.contains(newest.number) {
            throw RoundFailure("point \(newest.number) is damaged after a verification against the source")
        }
    }

    /// Compares every point; those that are not what was written must be known to be damaged.
    @discardableResult
    private func compareSoundPoints(_ when: String) async throws -> Set<Int> {
        let known = try await knownDamage()
        let found = try await judgePoints(damaged: known, when)
        for point in try await vaultPoints() where !known.contains(point.number) {
            guard let written = found[point.number] else {
                throw RoundFailure("the vault lists point \(point.number), the target has \(found.keys.sorted())")
            }
            guard let bound = bounds[point.number], bound.overlaps(written) else {
                throw RoundFailure(
                    "point \(point.number) is of write \(written), and was made at \(bounds[point.number] ?? 0...0), \(when)"
                )
            }
        }
        return known
    }

    /// Rule: a failover to a damaged point is refused, names the newest that is whole, and has changed nothing.
    func expectRefusal(of number: Int, whole: Int?) async throws {
        let before = try await relationship()
        do {
            _ = try await site.engine.perform(.unplannedFailover, on: relationshipID, arguments: ["point": "\(number)"])
        } catch let error as EngineError {
            guard error.rule == "recovery-point-damaged" else {
                throw RoundFailure(
                    "failover to damaged point \(number) was refused for another reason: \(error.message)")
            }
            if let whole, error.hint?.contains("Point \(whole) ") != true {
                throw RoundFailure("the refusal does not name point \(whole): \(error.hint ?? "no hint")")
            }
            let after = try await relationship()
            guard after.state == before.state, after.owner == before.owner, after.epoch == before.epoch else {
                throw RoundFailure("a refused failover has changed the state to \(after.state.rawValue)")
            }
            report.refused += 1
            return
        }
        throw RoundFailure("a failover to point \(number), which is damaged, was not refused")
    }

    // MARK: - The change map

    /// What others do to the map of changes, or to the checkpoint that it belongs to.
    func meddleWithMap(_ fault: FaultKind) async throws {
        let virsh = ["virsh", "--connect", site.lab.layout(of: from).libvirtURI]
        let own = try await site.hypervisor(from).checkpoints(uuid: uuid).last
        switch fault {
        case .mapDeleted:
            guard let own else { throw RoundFailure("the machine has no checkpoint") }
            try await stopWriting()
            try await endMachine()
            for disk in machine.diskBytes.indices where disk == 0 || plan.seed % 2 == 0 {
                let file = machine.file(disk, at: site.lab.layout(of: from))
                try site.run(at: from, ["qemu-img", "bitmap", "--remove", file, own])
            }
            try await restartMachine()
        case .checkpointDeleted:
            guard let own else { throw RoundFailure("the machine has no checkpoint") }
            try output(of: virsh + ["checkpoint-delete", machine.name, own])
        case .foreignCheckpoint:
            try output(of: virsh + ["checkpoint-create-as", machine.name, "of-somebody-else"])
            try await write(10)
            try output(of: virsh + ["checkpoint-delete", machine.name, "of-somebody-else"])
            try await write(10)
        default: break
        }
    }
}
