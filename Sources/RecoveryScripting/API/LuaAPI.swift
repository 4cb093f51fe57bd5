/// All that scripts see, in the order of the reference.
package enum LuaAPI {
    /// Globals that every run has.
    static let plainGlobals = [HelpFunction.help, HelpFunction.apropos, InspectFunction.inspect]
    /// Globals that work only where a power is granted.
    static let poweredGlobals: [(power: Power, function: FunctionDeclaration)] = [(.exec, ExecFunction.exec)]
    package static let globals = plainGlobals + poweredGlobals.map(\.function)
    package static let modules = [
        RecoveryModule.module, TaskModule.module, FilesModule.module, HTTPModule.module, LabModule.module,
    ]
    package static let types = [
        VaultObject.type, ServerObject.type, CloudObject.type, HostObject.type, ClusterObject.type, PolicyObject.type,
        LogicalNetworkObject.type, VMNetworkObject.type, StorageClassObject.type, VMObject.type, ItemObject.type,
        RelationshipObject.type, PlanObject.type,
    ]
    package static let records: [RecordDeclaration] = [
        [
            Records.job, Records.stage, Records.failure, Records.point, Records.refusal, NextMethods.record,
            NextMethods.step,
            Records.reply, Records.event, ReplicationFields.troubleRecord, ServerMembers.step,
            ExecFunction.command, ExecFunction.result, FilesModule.entry, HTTPModule.response, Records.labSite,
            TaskModule.spawned, CheckMethod.finding, NICMethods.nic, NICMethods.addressing,
        ],
        [
            Records.serverNode, SubnetTable.record, StorageClassObject.location, FirstCopyMethods.record,
            FirstCopyMethods.disk, VaultRecords.settingsRecord, VaultRecords.keyRecord,
        ],
        PlanRecords.all, HealthMethods.records, AlertFunctions.records, GroupPointFunctions.records,
        VerifyMethods.records, [AskFunction.record],
    ].flatMap { $0 }
}
