// Letters: which wait, each one to print, and marking it as posted. Name and address come through the door, so the resident reads in the log who printed it.
// Decided in `delivery.print_letter` and `delivery.post_letter` (0033_delivery.sql).
public import AccessLog
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Register
public import Web

/// URL table of the print queue.
public struct LetterRoutes: Sendable {
    private let database: Database
    private let door: Door
    private let vault: ResidentVault
    private let texts: OutgoingTexts

    public init(database: Database, door: Door, vault: ResidentVault, texts: OutgoingTexts) {
        self.database = database
        self.door = door
        self.vault = vault
        self.texts = texts
    }

    public func add(to site: Site) {
        site.declare(pages: [LetterQueuePage.self, OutgoingLetterPage.self])
        site.addNavigation(.staff, path: "/staff/letters", textKey: "delivery.letters.navigation", roles: [.caseworker])
        site.addStaffTasks(tasks)
        let caseworker = site.staff([.caseworker])
        caseworker.get("/staff/letters", use: queue)
        caseworker.get("/staff/letters/{letter}", use: printOne)
        caseworker.post("/staff/letters/{letter}/posted", use: post)
    }

    /// What the log gives as the reason (access_log.staff_reason).
    private static let purpose = "letter"

    /// One task for all that wait.
    @Sendable func tasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard staff.roles.contains(.caseworker) else { return [] }
        let count = try await database.query(WaitingLetters(credential: staff.credential)).count
        guard count > 0 else { return [] }
        return [HomeTask(title: context.text("delivery.letters.title"), detail: context.text("delivery.letters.waiting", count: count), path: "/staff/letters")]
    }

    @Sendable func queue(_ request: Request, _ context: StaffContext) async throws -> Response {
        let letters = try await database.query(WaitingLetters(credential: context.staff.credential))
        return try context.page(LetterQueuePage(letters, context), title: "delivery.letters.title")
    }

    /// Each look is an entry in the resident's log, and a line in who printed the letter.
    @Sendable func printOne(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let letter = try await waiting(context) else { return noLonger(context) }
        let released: ReleasedRecord
        do {
            released = try await door.read(
                AccessRequest(
                    credential: context.staff.credential, operation: .view, subject: .resident(letter.residentID),
                    attributes: addressAttributes.map(\.rawValue), purpose: Self.purpose, caseReference: letter.reference))
        } catch let refused as RefusedAccess where refused.refusal == .subjectProtected {
            context.notice("delivery.letters.protected")
            return context.redirect(to: "/staff/letters")
        }
        let statement = PrintLetter(credential: context.staff.credential, letter: letter.id, entry: released.entryID)
        guard let printed = try await database.exclusive({ try await $0.optional(statement) }) else { return noLonger(context) }
        return try context.page(
            OutgoingLetterPage(letter, to: try vault.open(released), try words(of: letter, printed), context), title: "delivery.letters.title")
    }

    @Sendable func post(_ request: Request, _ context: StaffContext) async throws -> Response {
        let statement = PostLetter(credential: context.staff.credential, letter: try context.parameter("letter"))
        switch try await database.exclusive({ try await $0.one(statement) }) {
        case .posted: context.notice("delivery.letters.posted")
        case .notPrinted: context.notice("delivery.letters.not_printed")
        case .alreadyPosted, .letterUnknown: return noLonger(context)
        }
        return context.redirect(to: "/staff/letters")
    }

    private func waiting(_ context: StaffContext) async throws -> WaitingLetter? {
        let id: OutgoingID = try context.parameter("letter")
        return try await database.optional(WaitingLetters(credential: context.staff.credential, letter: id))
    }

    private func noLonger(_ context: StaffContext) -> Response {
        context.notice("delivery.letters.gone")
        return context.redirect(to: "/staff/letters")
    }

    /// In the letter's own language, whatever the caseworker reads.
    private func words(of letter: WaitingLetter, _ printed: PrintLetter.Row) throws -> LetterWords {
        guard let template = OutgoingTemplate(rawValue: letter.template), let language = Language(rawValue: letter.language) else { throw Problem.notFound }
        let parameters = printed.sealedParameters == nil
            ? [:]
            : try OutgoingSealing(vault: vault).openParameters(
                printed.sealedParameters, of: letter.id, for: printed.key.holderID, under: try vault.unwrap(printed.key))
        let (subject, paragraphs) = texts.letter(template, parameters, in: language)
        return LetterWords(language: language, subject: subject, paragraphs: paragraphs)
    }
}

/// What stands in the window of the envelope.
private let addressAttributes: [Attribute] = [.givenNames, .familyName, .street, .postcode, .locality]

/// A letter's heading and paragraphs.
struct LetterWords: Sendable {
    let language: Language
    let subject: String
    let paragraphs: [String]
}
