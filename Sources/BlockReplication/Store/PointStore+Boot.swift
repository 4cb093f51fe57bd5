extension PointStore {
    /// Makes the images that a VM starts from: an empty overlay over the point for each disk, as absolute paths by target.
    ///
    /// Without a purpose, epoch 0 is a test. Asked again for the same epoch and point, it gives the same files, with what the VM has written to them. Errors:
    /// `.staleEpoch` for a failover at an older epoch than the recorded one, `.busy` when the epoch has another point's overlay.
    package func bootOverlay(
        generation: String, epoch: Int, purpose: BootPurpose? = nil
    ) throws -> [String: String] {
        let purpose = purpose ?? BootPurpose(epoch: epoch)
        guard epoch >= 0, purpose == .test || epoch >= manifest.epoch else { throw staleEpoch(epoch) }
        if let boot = manifest.boots.first(where: { $0.epoch == epoch && $0.purpose == purpose }) {
            guard boot.generation == generation else {
                throw ReplicationError(
                    .busy, "the VM's disks at epoch \(epoch) already stand on point \(boot.generation)",
                    hint: "stop the VM and discard those disks before it is started from another point",
                    context: ["relationship": manifest.relationship])
            }
            return paths(boot)
        }
        let point = try requirePoint(generation)
        var boot = BootOverlay(purpose: purpose, epoch: epoch, generation: generation, disks: [])
        for disk in point.disks {
            guard let size = manifest.size(of: disk) else { continue }
            let name = StoreNames.boot(purpose, epoch: epoch, disk.target)
            let part = name + StoreNames.part
            try directory.remove(part)
            do {
                try EmptyOverlay.create(
                    directory.path(part), size: size, backing: BackingReference(file: disk.file, format: disk.format))
            } catch {
                try? directory.remove(part)
                throw error
            }
            try hook(.bootWritten)
            try directory.rename(part, to: name)
            try hook(.bootRenamed)
            boot.disks.append(BootDisk(target: disk.target, file: name))
        }
        try directory.sync()
        try commit { $0.boots.append(boot) }
        return paths(boot)
    }

    /// Gives up a VM's disks at this epoch, with all that it wrote to them.
    ///
    /// The VM must not run; unknown epochs are no error.
    package func discardBoot(epoch: Int, purpose: BootPurpose? = nil) throws {
        let purpose = purpose ?? BootPurpose(epoch: epoch)
        guard let boot = manifest.boots.first(where: { $0.epoch == epoch && $0.purpose == purpose }) else { return }
        try commit { $0.boots.removeAll { $0.epoch == epoch && $0.purpose == purpose } }
        try removeUnreferenced(boot.disks.map(\.file))
    }

    private func paths(_ boot: BootOverlay) -> [String: String] {
        Dictionary(uniqueKeysWithValues: boot.disks.map { ($0.target, directory.path($0.file)) })
    }
}
