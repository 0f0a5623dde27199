// The menu at the top of every page: which entries there are, and who is offered which.

/// Whose navigation an entry belongs to.
public enum NavigationFace: Sendable, Hashable {
    case visitor
    case resident
    /// A resident who acts for another: the bar in the layout says where they can go.
    case helper
    case staff

    init(_ caller: Caller) {
        switch caller {
        case .resident: self = .resident
        case .staff: self = .staff
        case .helper: self = .helper
        case .anonymous, .organisation: self = .visitor
        }
    }
}

struct NavigationItem: Sendable {
    let face: NavigationFace
    let path: String
    let textKey: String
    let roles: Set<StaffRole>?

    func isOffered(to caller: Caller) -> Bool {
        guard face == NavigationFace(caller) else { return false }
        guard let roles, case .staff(let staff) = caller else { return true }
        return !roles.isDisjoint(with: staff.roles)
    }

    /// Whether a page lies under this entry.
    func holds(_ path: String) -> Bool { path == self.path || path.hasPrefix(self.path + "/") }
}
