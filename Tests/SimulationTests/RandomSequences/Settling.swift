import Hypervisors
import RecoveryEngine
import SiteModel
import Simulation
import VaultStore

/// Whatever has happened, there is a way on: with all put right, each VM is protected again by what comes next.
extension Play {
    func settle() async throws {
        for host in site.hosts {
            world.restore(host: host)
            world.change { state in
                state.hosts[host]?.ballast = 0
                state.hosts[host]?.fence = .works
            }
        }
        world.setLink("a", "b", cut: false)
        world.clearFaults()
        for vm in site.allVMs {
            for host in site.hosts {
                try await shrinkBack(vm, at: host)
                try? world.setGuest(vm, at: host) { $0.ignoresPowerButton = false }
            }
        }
        await world.clock.pass(seconds: 60)
        try await play(.watch)
        try await play(.recover)
        try await play(.watch)
        for vm in site.allVMs where try await relationship(vm) != nil { try await settle(vm) }
    }

    /// Does what an operator would do who knows no more than what the engine says comes next.
    private func settle(_ vm: String) async throws {
        var way: [String] = []
        for _ in 1...16 {
            guard let relationship = try await relationship(vm) else { return }
            // A failover that was taken up only now may have fenced a host: an operator brings it back.
            for host in site.hosts { world.restore(host: host) }
            // A copy that came back running on an ownership that has ended: an operator saves what it holds and ends it.
            for host in site.hosts where host != relationship.owner { try? world.kill(vm, at: host) }
            if vm == RandomSite.managementVM, relationship.activeJob == nil {
                // Nothing else goes on before it runs.
                _ = try? world.startByHand(vm, at: relationship.owner, hook: true)
            }
            if let job = relationship.activeJob {
                guard let open = try await vault.read({ try $0.object(Job.self, id: job)?.value }) else { return }
                way.append("again \(open.operation.rawValue)")
                try await play(.operation(open.operation, vm, open.arguments))
                continue
            }
            if relationship.state == .protected, vm == RandomSite.managementVM, relationship.owner != relationship.home
            {
                // The workloads are reversed only when it is at home again.
                way.append("planned-failover")
                try await play(.operation(.plannedFailover, vm, [:]))
                continue
            }
            if relationship.state == .protected {
                try await play(.operation(.sync, vm, [:]))
                way.append("sync")
                if try await self.relationship(vm)?.lastError == nil { return try await checkClean(vm) }
                continue
            }
            if relationship.state == .unprotected {
                // Where it was failed over and given up it may run at the other side: that is where it is at home now.
                guard site.hosts.first(where: { $0 == relationship.source })?.hasPrefix("a") == true else { return }
                way.append("protect")
                try await play(.protect(vm, later: false))
                continue
            }
            let steps = try await engine.next(on: relationship).steps.map(\.operation)
            // What was tried twice does not help; then the hint of a disk that was resized holds: protect the VM anew.
            let useful = steps.first { step in
                step != .unprotect && way.filter { $0 == step.rawValue }.count < 2
            }
            guard let step = useful ?? steps.first(where: { $0 == .unprotect }) ?? steps.first else {
                throw Broken("nothing comes next for \(vm), which is \(relationship.state.rawValue) (\(way))")
            }
            way.append(step.rawValue)
            try await play(.operation(step, vm, step == .unplannedFailover ? ["source": "fence"] : [:]))
        }
        let relationship = try await relationship(vm)
        throw Broken(
            "\(vm) does not come to rest: it is \(relationship?.state.rawValue ?? "gone") after "
                + way.joined(separator: ", ") + "; its last error: \(relationship?.lastError ?? "none")")
    }

    /// A VM that is protected leaves nothing open at its hosts.
    private func checkClean(_ vm: String) async throws {
        guard let relationship = try await relationship(vm) else { return }
        let left = world.look { state -> String? in
            if state.hosts.values.contains(where: { $0.backups[relationship.vmUUID] != nil }) {
                return "a backup is left open"
            }
            if state.hosts.values.contains(where: { $0.stores[relationship.id]?.draft != nil }) {
                return "half a point is left"
            }
            // libvirt removes no bitmap of a VM that is off.
            let domain = state.hosts[relationship.source]?.domains[relationship.vmUUID]
            let checkpoints = domain?.checkpoints ?? []
            if domain?.power == .running, checkpoints.count > 1 {
                return "checkpoints are left: \(checkpoints.map(\.name))"
            }
            return nil
        }
        if let left { throw Broken("\(vm) is protected, and \(left)") }
    }

    func points(of relationship: Relationship?) async throws -> [RecoveryPoint] {
        guard let relationship else { return [] }
        return try await vault.read { try $0.objects(RecoveryPoint.self, parent: relationship.id).map(\.value) }
    }
}
