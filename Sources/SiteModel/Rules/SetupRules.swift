/// A rule that a cloud or pair would break: nothing was changed.
package struct SetupRefusal: Error, Hashable, Sendable {
    package let rule: Rule
    /// Name of the object that refused.
    package let object: String
    /// What exactly stands against it; nil when the rule says it all.
    package let detail: String?

    package init(rule: Rule, object: String, detail: String? = nil) {
        self.rule = rule
        self.object = object
        self.detail = detail
    }
}

extension Guards {
    /// The refusal to join two clouds, or nil when they may be paired.
    ///
    /// `existing` are the vault's pairs; `policyExists` tells whether the policy that the pair names is there.
    package static func checkPair(
        _ primary: Cloud, with recovery: Cloud, existing: [CloudPair], policyExists: Bool = true
    ) -> SetupRefusal? {
        if primary.id == recovery.id { return SetupRefusal(rule: RuleBook.twoCloudsOnOneServer, object: primary.name) }
        for cloud in [primary, recovery] where existing.contains(where: { $0.joins(cloud.id) }) {
            return SetupRefusal(rule: RuleBook.onePairPerCloud, object: cloud.name)
        }
        return policyExists ? nil : SetupRefusal(rule: RuleBook.policyRequired, object: primary.name)
    }
}

extension Guards {
    /// The refusal to take a VM that hosts already replicate into a cloud, or nil when it fits there (rule 8).
    ///
    /// `primaryHosts` and `recoveryHosts` are the hosts of the pair's clouds.
    package static func checkOnboarding(
        of relationship: Relationship, pair: CloudPair, primaryHosts: [String], recoveryHosts: [String]
    ) -> SetupRefusal? {
        let detail: String? =
            if !primaryHosts.contains(relationship.source) {
                "it is replicated from a host outside the cloud"
            } else if !recoveryHosts.contains(relationship.target) {
                "it is replicated to a host outside the other cloud"
            } else if relationship.policy != pair.policy {
                "it is replicated under another policy"
            } else {
                nil
            }
        return detail.map {
            SetupRefusal(rule: RuleBook.onboardBetweenItsClouds, object: relationship.name, detail: $0)
        }
    }
}

extension CloudPair {
    /// Whether a cloud is one of the two.
    package func joins(_ cloud: String) -> Bool { cloud == primary || cloud == recovery }

    /// The other cloud of the pair; nil when the cloud given is neither.
    package func partner(of cloud: String) -> String? {
        switch cloud {
        case primary: recovery
        case recovery: primary
        default: nil
        }
    }
}
