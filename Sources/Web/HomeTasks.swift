// What a home page asks a person to do. Slices give their own; the home pages of residents (Identity) and staff (Casework) show them.

/// Something that a person is asked to do.
public struct HomeTask: Sendable, Hashable {
    /// What to do, in the reader's language.
    public var title: String
    /// Until when, how much, how many: one sentence.
    public var detail: String
    /// The page where it is done.
    public var path: String

    public init(title: String, detail: String, path: String) {
        self.title = title
        self.detail = detail
        self.path = path
    }
}

/// A slice's tasks for a resident, most urgent first. Asked each time the home page is shown, so it may cost one statement.
public typealias TaskSource = @Sendable (ResidentCaller, WebContext) async throws -> [HomeTask]

/// A slice's tasks for a member of staff, by what their roles may do; the same cost.
public typealias StaffTaskSource = @Sendable (StaffCaller, WebContext) async throws -> [HomeTask]

/// A task as a page shows it.
public struct HomeTaskView: ViewModel {
    var title: String
    var detail: String
    var link: Link

    public static let fields: Fields<Self> = ["title": .text(\.title), "detail": .text(\.detail), "link": .link(\.link)]

    public init(_ task: HomeTask) {
        title = task.title
        detail = task.detail
        link = Link(task.path)
    }
}

extension PageContext {
    /// What this resident is asked to do, slice by slice in the order in which they joined the site.
    public func tasks(of resident: ResidentCaller) async throws -> [HomeTask] {
        var tasks: [HomeTask] = []
        for source in web.services.taskSources { tasks += try await source(resident, web) }
        return tasks
    }

    /// What waits for this member of staff.
    public func tasks(of staff: StaffCaller) async throws -> [HomeTask] {
        var tasks: [HomeTask] = []
        for source in web.services.staffTaskSources { tasks += try await source(staff, web) }
        return tasks
    }
}
