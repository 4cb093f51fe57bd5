/// All that scripts see, in the order of the reference.
package enum LuaAPI {
    package static let globals = [HelpFunction.help]
    package static let modules = [RecoveryModule.module, TaskModule.module, LabModule.module]
    package static let types = [
        VaultObject.type, ServerObject.type, CloudObject.type, HostObject.type, ClusterObject.type, PolicyObject.type,
        LogicalNetworkObject.type, VMNetworkObject.type, StorageClassObject.type, VMObject.type, ItemObject.type,
        RelationshipObject.type,
    ]
    package static let records = [
        Records.job, Records.stage, Records.failure, Records.point, Records.refusal, Records.next, Records.reply,
        Records.event, Records.labSite, Records.serverNode, SubnetTable.record, StorageClassObject.location,
        FirstCopyMethods.record, FirstCopyMethods.disk, VaultRecords.settingsRecord, VaultRecords.keyRecord,
    ]
}
