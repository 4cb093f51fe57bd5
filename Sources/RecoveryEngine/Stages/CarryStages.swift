import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// A first copy that is carried: written at the source, brought over by people, taken in at the target.
extension JobDriver {
    /// Writes the first point into a folder at the source; what the VM writes from that instant on is tracked, and sent by the
    /// first cycle after the import.
    ///
    /// An attempt that did not get to its record begins anew: the VM has written on, and the folder is the operator's until then.
    func exportFirstCopy() async throws {
        guard let root = relationship.firstCopy?.exportPath else {
            throw EngineError(
                .failed, "job \(jobID) has lost where the first copy is to be written", object: relationship.name)
        }
        try await checkOwnership(of: relationship.source)
        let agent = try await hosts.agent(relationship.source)
        if let generation = fact("generation") {
            try await agent.abandonPoint(relationship: relationship.id, generation: generation)
            try await hosts.hypervisor(relationship.source).endBackup(uuid: relationship.vmUUID)
        }
        let generation = dependencies.identifiers.next()
        try await setFact("generation", generation)
        let name = FirstCopyRecord.folderName(vm: relationship.name, id: relationship.id)
        let images = relationship.disks.compactMap { $0.images[relationship.source] }
        let summary: PointSummary
        do {
            summary = try await copyPoint(generation: generation, to: agent) { point in
                try await agent.openExport(ExportPoint(point: point, folder: root, name: name, images: images))
            }
        } catch {
            try? await agent.abandonPoint(relationship: relationship.id, generation: generation)
            throw error
        }
        let (now, folder) = (now, "\(root)/\(name)")
        try await record { job, relationship, vault in
            relationship.firstCopy?.exported = ExportedCopy(
                generation: generation, folder: folder, at: summary.at, bytes: summary.bytes)
            relationship.checkpoint = job.facts["checkpoint"]
            relationship.lastPointNumber = max(relationship.lastPointNumber, summary.number)
            job.facts["folder"] = folder
            try vault.append(
                Event(
                    at: now, severity: .info, object: relationship.id,
                    text:
                        "the first copy of \(relationship.name) lies in \(folder) at the source: carry that folder to "
                        + "\(relationship.firstCopy?.importPath ?? "the target") and import it",
                    code: "first-copy-exported", topic: .vm))
        }
    }

    /// Takes the carried copy in as the first point, after its checksums were found right.
    func importFirstCopy() async throws {
        guard let plan = relationship.firstCopy, let exported = plan.exported,
            let folder = argument("path") ?? plan.importPath
        else {
            throw EngineError(
                .invalid, "no first copy of \(relationship.name) was exported",
                hint: "protect it with first_copy = \"offline\", or start its first copy over the network",
                object: relationship.name)
        }
        if let violation = FieldCheck.path(folder, "path") {
            throw EngineError(
                .invalid, "import of \(relationship.name): \(violation.sentence)",
                hint: "name the folder at the target",
                object: relationship.name)
        }
        try await recordOwnershipAtHosts([relationship.target], required: true)
        // Dropped by hand or by a crash meanwhile: then the first cycle finds the changes by comparing.
        let checkpoint = relationship.checkpoint
        let point = try await hosts.agent(relationship.target).importPoint(
            ImportPoint(
                relationship: relationship.id, vm: VMIdentity(name: relationship.name, uuid: relationship.vmUUID),
                generation: exported.generation,
                disks: relationship.disks.map { DiskGeometry(target: $0.target, size: $0.size) }, folder: folder,
                name: FirstCopyRecord.folderName(vm: relationship.name, id: relationship.id),
                epoch: relationship.epoch, owner: relationship.owner))
        try await setFact("checkpoint", checkpoint)
        try await setFact("bytes", String(point.bytes))
        try await recordPoint(point)
    }
}
