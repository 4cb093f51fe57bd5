import Hypervisors
import SiteModel

extension Hypervisor {
    /// Ends the engine's checkpoints of a VM other than `kept`, with their bitmaps: also those that a killed QEMU left broken in
    /// the file, because a broken bitmap would keep its name taken.
    func discardCheckpoints(uuid: String, keeping kept: String?) async throws {
        for name in try await checkpoints(uuid: uuid) where CheckpointName.isOurs(name) && name != kept {
            do {
                try await deleteCheckpoint(uuid: uuid, name: name, metadataOnly: false)
            } catch let error as HypervisorError where [.checkpointUnusable, .unsupported].contains(error.code) {
                try await deleteCheckpoint(uuid: uuid, name: name, metadataOnly: true)
            }
        }
    }
}
