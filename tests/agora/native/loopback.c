/*
 * Agora's RTC library in small: the C interface that agora-python-server-sdk 2.1.7 binds, over sockets of this machine.
 *
 * A channel is a folder, a participant a datagram socket in it, named by its uid; so participants may be in one process
 * or in many. As in the real library, what happens is told from a thread of its own, audio goes out in frames of 10 ms
 * one by one as they are due, and what was pushed too early waits in the sender.
 *
 * AGORA_LOOPBACK_DIR is where the folders are. What shall go wrong while a service or a connection is being opened or
 * closed is said by environment variables (see `wish`), what shall go wrong later by a datagram to a participant's
 * socket (see `obey`).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CONN_SLOTS = 30, USER_SLOTS = 36, AUDIO_SLOTS = 10 };
enum { MAX_UID = 64, MAX_NAME = 128, MAX_TOKEN = 2048, MAX_PATH = 108, MAX_MEMBERS = 64, MAX_DATAGRAM = 8192 };
enum { MAX_MESSAGE = 1024, MAX_QUEUED_MS = 60000, MAX_FRAMES_WAITING = 500, FRAME_MS = 10, SWEEP_MS = 250 };
enum { DISCONNECTED = 1, CONNECTING = 2, CONNECTED = 3, RECONNECTING = 4, FAILED = 5 };
enum { JOIN_SUCCESS = 1, INTERRUPTED = 2, LEAVE_CHANNEL = 5, REJOIN_SUCCESS = 15, SAME_UID_LOGIN = 19 };
enum { QUIT = 0, DROPPED = 1 };

/* Their places in the observers' arrays of functions. */
enum { ON_CONNECTED = 0, ON_DISCONNECTED = 1, ON_CONNECTING = 2, ON_RECONNECTING = 3, ON_RECONNECTED = 4 };
enum { ON_LOST = 5, ON_TOKEN_WILL_EXPIRE = 8, ON_TOKEN_DID_EXPIRE = 9, ON_FAILURE = 11, ON_JOINED = 12, ON_LEFT = 13 };
enum { ON_ERROR = 22, ON_TRACK_SUBSCRIBED = 7, ON_SUBSCRIBE_STATE = 9, ON_MESSAGE = 34, ON_FRAME_BEFORE_MIXING = 4 };

typedef struct {
    uint64_t id;
    const char *channel_id;
    int state;
    const char *local_user_id;
    unsigned internal_uid;
} conn_info;

typedef struct {
    int type, samples_per_channel, bytes_per_sample, channels, samples_per_sec;
    void *buffer;
    int64_t render_time_ms;
    int avsync_type, far_field_flag, rms, voice_prob, music_prob, pitch;
} audio_frame;

typedef struct {
    int enable_audio_processor, enable_audio_device, enable_video;
    void *context;
    const char *app_id;
    unsigned area_code;
    int channel_profile, audio_scenario, use_string_uid;
} service_config;

_Static_assert(sizeof(conn_info) == 40, "RTCConnInfoInner");
_Static_assert(sizeof(audio_frame) == 64, "AudioFrameInner");
_Static_assert(sizeof(service_config) == 48, "AgoraServiceConfigInner");

/* Something to be told: which function of which observer, and with what. */
typedef struct event {
    struct event *next;
    enum { TO_CONN, TO_USER, TO_AUDIO } observer;
    int slot, a, b;
    int64_t due;
    char uid[MAX_UID];
    int rate;
    size_t size;
    unsigned char data[];
} event;

typedef struct {
    pthread_mutex_t lock;
    unsigned char *pcm;
    size_t size, room;
    int rate, channels;
    struct conn *to; /* whose thread sends it, once it is published */
} sender;

typedef struct {
    sender *from;
    _Atomic int enabled;
} track;

typedef struct conn {
    pthread_mutex_t lock;      /* all below but what `telling` guards */
    pthread_mutex_t telling;   /* held during a call of an observer, and by who takes one away */
    pthread_cond_t changed;    /* for the thread that tells */
    pthread_cond_t to_send;    /* for the thread that sends */
    pthread_t receiving, sending, calling;
    int has_threads, has_caller, closing;
    int socket, streams;
    _Atomic int leaving, state, away; /* looked at without the lock */
    char channel[MAX_NAME], uid[MAX_UID], token[MAX_TOKEN], path[MAX_PATH], folder[MAX_PATH];
    char members[MAX_MEMBERS][MAX_UID];
    int member_count;
    char subscribed[MAX_MEMBERS][MAX_UID];
    int subscribed_count;
    _Atomic int subscribed_all;
    _Atomic int lose_every, delay_ms;
    size_t under_way; /* bytes that were taken from the sender and are not sent yet */
    _Atomic unsigned sent_frames, lost_frames, sent_messages;
    track *published;
    event *first, *last;
    int frames_waiting;
    void *conn_observer[CONN_SLOTS], *user_observer[USER_SLOTS], *audio_observer[AUDIO_SLOTS];
} conn;

static pthread_mutex_t service_lock = PTHREAD_MUTEX_INITIALIZER;
static int service_runs;
static _Atomic int alive; /* objects that were made and not given back */
static char a_handle; /* something to point to for handles with nothing behind them */
static __thread int inside_callback;

#define EXPORT __attribute__((visibility("default")))

/* Calling the library from one of its own callbacks is what it does not allow. */
static void forbid_inside_callback(const char *function)
{
    if (inside_callback) {
        fprintf(stderr, "loopback: %s was called inside a callback\n", function);
        abort();
    }
}
#define ENTER forbid_inside_callback(__func__)

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    pthread_cond_timedwait(cond, lock, &t);
}

static void copy(char *to, size_t room, const char *from)
{
    snprintf(to, room, "%s", from ? from : "");
}

static void *made(void *object)
{
    alive++;
    return object;
}

static void given_back(void *object)
{
    alive--;
    free(object);
}

/* AGORA_LOOPBACK_<name>, or "". */
static const char *wish(const char *name)
{
    char variable[64];
    snprintf(variable, sizeof variable, "AGORA_LOOPBACK_%s", name);
    const char *value = getenv(variable);
    return value ? value : "";
}

/* ---- telling ------------------------------------------------------------------------------------------------- */

static void tell(conn *c, event *e)
{
    pthread_mutex_lock(&c->lock);
    if (e->observer == TO_AUDIO && c->frames_waiting >= MAX_FRAMES_WAITING) {
        pthread_mutex_unlock(&c->lock);
        free(e);
        return;
    }
    c->frames_waiting += e->observer == TO_AUDIO;
    e->next = NULL;
    if (c->last)
        c->last->next = e;
    else
        c->first = e;
    c->last = e;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static event *new_event(int observer, int slot, const char *uid, size_t size)
{
    event *e = calloc(1, sizeof *e + size + 1);
    e->observer = observer;
    e->slot = slot;
    e->size = size;
    copy(e->uid, sizeof e->uid, uid);
    return e;
}

static void tell_state(conn *c, int slot, int state, int reason)
{
    event *e = new_event(TO_CONN, slot, "", 0);
    e->a = state;
    e->b = reason;
    tell(c, e);
}

static void tell_user(conn *c, int slot, const char *uid, int reason)
{
    event *e = new_event(TO_CONN, slot, uid, 0);
    e->b = reason;
    tell(c, e);
}

static void tell_subscribed(conn *c, const char *uid, int state)
{
    if (state == 3)
        tell(c, new_event(TO_USER, ON_TRACK_SUBSCRIBED, uid, 0));
    event *e = new_event(TO_USER, ON_SUBSCRIBE_STATE, uid, 0);
    e->a = state;
    tell(c, e);
}

static void tell_message(conn *c, const char *uid, const void *data, size_t size)
{
    event *e = new_event(TO_USER, ON_MESSAGE, uid, size);
    memcpy(e->data, data, size);
    e->due = c->delay_ms ? now_ms() + c->delay_ms : 0;
    tell(c, e);
}

static void tell_frame(conn *c, const char *uid, int rate, const void *pcm, size_t size)
{
    event *e = new_event(TO_AUDIO, ON_FRAME_BEFORE_MIXING, uid, size);
    memcpy(e->data, pcm, size);
    e->rate = rate;
    e->due = c->delay_ms ? now_ms() + c->delay_ms : 0;
    tell(c, e);
}

static void call_conn_observer(conn *c, const event *e)
{
    void *f = c->conn_observer[e->slot];
    if (!f)
        return;
    conn_info info = {1, c->channel, e->a, c->uid, 0};
    char token[MAX_TOKEN];
    pthread_mutex_lock(&c->lock);
    copy(token, sizeof token, c->token);
    pthread_mutex_unlock(&c->lock);
    switch (e->slot) {
    case ON_LOST: ((void (*)(void *, conn_info *))f)(c, &info); break;
    case ON_TOKEN_WILL_EXPIRE: ((void (*)(void *, const char *))f)(c, token); break;
    case ON_TOKEN_DID_EXPIRE: ((void (*)(void *))f)(c); break;
    case ON_JOINED: ((void (*)(void *, const char *))f)(c, e->uid); break;
    case ON_LEFT: ((void (*)(void *, const char *, int))f)(c, e->uid, e->b); break;
    case ON_ERROR: ((void (*)(void *, int, const char *))f)(c, e->b, "an error"); break;
    default: ((void (*)(void *, conn_info *, int))f)(c, &info, e->b); break;
    }
}

static void call_user_observer(conn *c, const event *e)
{
    void *f = c->user_observer[e->slot];
    if (!f)
        return;
    switch (e->slot) {
    case ON_TRACK_SUBSCRIBED: ((void (*)(void *, const char *, void *))f)(c, e->uid, &a_handle); break;
    case ON_SUBSCRIBE_STATE:
        ((void (*)(void *, const char *, const char *, int, int, int))f)(c, c->channel, e->uid, 2, e->a, 0);
        break;
    case ON_MESSAGE:
        ((void (*)(void *, const char *, int, const char *, size_t))f)(c, e->uid, 1, (const char *)e->data, e->size);
        break;
    }
}

static void call_audio_observer(conn *c, event *e)
{
    void *f = c->audio_observer[e->slot];
    if (!f)
        return;
    audio_frame frame = {
        .samples_per_channel = (int)e->size / 2, .bytes_per_sample = 2, .channels = 1, .samples_per_sec = e->rate,
        .buffer = e->data,
    };
    ((int (*)(void *, const char *, const char *, audio_frame *))f)(c, c->channel, e->uid, &frame);
}

/* The thread from which everything is told. */
static void *call_observers(void *of)
{
    conn *c = of;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        event *e = c->first;
        if (!e) {
            if (c->closing)
                break;
            pthread_cond_wait(&c->changed, &c->lock);
            continue;
        }
        if (e->due > now_ms() && !c->closing) {
            wait_until(&c->changed, &c->lock, e->due);
            continue;
        }
        c->first = e->next;
        if (!c->first)
            c->last = NULL;
        c->frames_waiting -= e->observer == TO_AUDIO;
        pthread_mutex_unlock(&c->lock);
        pthread_mutex_lock(&c->telling);
        inside_callback = 1;
        switch (e->observer) {
        case TO_CONN: call_conn_observer(c, e); break;
        case TO_USER: call_user_observer(c, e); break;
        case TO_AUDIO: call_audio_observer(c, e); break;
        }
        inside_callback = 0;
        pthread_mutex_unlock(&c->telling);
        free(e);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- the network --------------------------------------------------------------------------------------------- */

static int find(char list[][MAX_UID], int count, const char *uid)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(list[i], uid))
            return i;
    return -1;
}

static int add(char list[][MAX_UID], int *count, const char *uid)
{
    if (find(list, *count, uid) >= 0 || *count == MAX_MEMBERS)
        return 0;
    copy(list[(*count)++], MAX_UID, uid);
    return 1;
}

static int take_out(char list[][MAX_UID], int *count, const char *uid)
{
    int i = find(list, *count, uid);
    if (i < 0)
        return 0;
    memmove(list[i], list[*count - 1], MAX_UID);
    --*count;
    return 1;
}

static int address_of(const char *folder, const char *uid, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    return snprintf(address->sun_path, sizeof address->sun_path, "%s/%s", folder, uid) < (int)sizeof address->sun_path;
}

/* Send one datagram: its kind, the sender's uid, what it carries. 0 if nobody is there any more. */
static int send_to(conn *c, const char *uid, char kind, const void *data, size_t size)
{
    struct sockaddr_un to;
    unsigned char datagram[MAX_DATAGRAM];
    size_t head = 1 + strlen(c->uid) + 1;
    if (!address_of(c->folder, uid, &to) || head + size > sizeof datagram)
        return 1;
    datagram[0] = (unsigned char)kind;
    memcpy(datagram + 1, c->uid, head - 1);
    if (size)
        memcpy(datagram + head, data, size);
    if (sendto(c->socket, datagram, head + size, 0, (struct sockaddr *)&to, sizeof to) >= 0)
        return 1;
    return errno != ECONNREFUSED && errno != ENOENT;
}

static void member_is_gone(conn *c, const char *uid, int reason)
{
    pthread_mutex_lock(&c->lock);
    int was_there = take_out(c->members, &c->member_count, uid);
    take_out(c->subscribed, &c->subscribed_count, uid);
    pthread_mutex_unlock(&c->lock);
    if (was_there)
        tell_user(c, ON_LEFT, uid, reason);
}

static void send_to_all(conn *c, char kind, const void *data, size_t size)
{
    char members[MAX_MEMBERS][MAX_UID];
    pthread_mutex_lock(&c->lock);
    int count = c->away ? 0 : c->member_count;
    memcpy(members, c->members, sizeof members);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < count; i++)
        if (!send_to(c, members[i], kind, data, size))
            member_is_gone(c, members[i], DROPPED);
}

static void member_is_here(conn *c, const char *uid)
{
    pthread_mutex_lock(&c->lock);
    int is_new = add(c->members, &c->member_count, uid);
    pthread_mutex_unlock(&c->lock);
    if (!is_new)
        return;
    tell_user(c, ON_JOINED, uid, 0);
    pthread_mutex_lock(&c->lock);
    int wanted = c->subscribed_all || find(c->subscribed, c->subscribed_count, uid) >= 0;
    pthread_mutex_unlock(&c->lock);
    if (wanted)
        tell_subscribed(c, uid, 3);
}

/* What a test wishes to happen to this participant now. */
static void obey(conn *c, const char *text)
{
    char word[32] = "", uid[MAX_UID] = "";
    int a = 0, b = 0, d = 0;
    sscanf(text, "%31s %d %d %d", word, &a, &b, &d);
    if (!strcmp(word, "loss")) {
        c->lose_every = a;
    } else if (!strcmp(word, "delay")) {
        c->delay_ms = a;
    } else if (!strcmp(word, "away")) {
        c->away = 1;
        c->state = RECONNECTING;
        pthread_mutex_lock(&c->lock);
        c->subscribed_count = 0; /* it may forget whom it was to hear */
        pthread_mutex_unlock(&c->lock);
        tell_state(c, ON_RECONNECTING, RECONNECTING, INTERRUPTED);
    } else if (!strcmp(word, "back")) {
        c->away = 0;
        c->state = CONNECTED;
        tell_state(c, ON_RECONNECTED, CONNECTED, REJOIN_SUCCESS);
    } else if (!strcmp(word, "lost")) {
        tell_state(c, ON_LOST, RECONNECTING, INTERRUPTED);
    } else if (!strcmp(word, "failed") || !strcmp(word, "disconnected")) {
        int failed = word[0] == 'f';
        send_to_all(c, 'L', "\1", 1);
        c->away = 1;
        c->state = failed ? FAILED : DISCONNECTED;
        tell_state(c, failed ? ON_FAILURE : ON_DISCONNECTED, c->state, a);
    } else if (!strcmp(word, "vanish")) {
        c->away = 1;
        unlink(c->path); /* as if the process were gone: the others find nobody there */
    } else if (!strcmp(word, "state")) {
        tell_state(c, a, b, d);
    } else if (!strcmp(word, "error")) {
        tell_user(c, ON_ERROR, "", a);
    } else if (!strcmp(word, "token_will_expire")) {
        tell_state(c, ON_TOKEN_WILL_EXPIRE, 0, 0);
    } else if (!strcmp(word, "token_did_expire")) {
        tell_state(c, ON_TOKEN_DID_EXPIRE, 0, 0);
    } else if (sscanf(text, "joined %63s", uid) == 1) {
        tell_user(c, ON_JOINED, uid, 0);
    } else if (sscanf(text, "left %63s", uid) == 1) {
        tell_user(c, ON_LEFT, uid, QUIT);
    } else if (sscanf(text, "subscribed %63s %d", uid, &a) == 2) {
        tell_subscribed(c, uid, a);
    } else if (sscanf(text, "frames %63s %d %d", uid, &a, &b) == 3) {
        unsigned char pcm[480];
        for (int i = 0; i < b; i++) {
            memset(pcm, i + 1, sizeof pcm);
            tell_frame(c, uid, a, pcm, sizeof pcm);
        }
    } else if (sscanf(text, "message %63s", uid) == 1) {
        const char *data = strchr(strchr(text, ' ') + 1, ' ');
        tell_message(c, uid, data ? data + 1 : "", data ? strlen(data + 1) : 0);
    }
}

/* How many bytes of what is published wait to be sent. Call with the lock. */
static size_t waiting_to_be_sent(conn *c)
{
    if (!c->published)
        return 0;
    sender *s = c->published->from;
    pthread_mutex_lock(&s->lock);
    size_t size = s->size;
    pthread_mutex_unlock(&s->lock);
    return size;
}

static void answer_query(conn *c, const struct sockaddr_un *to, socklen_t size)
{
    char text[MAX_TOKEN + 512];
    pthread_mutex_lock(&c->lock);
    size_t queued = c->under_way + waiting_to_be_sent(c);
    int n = snprintf(
        text, sizeof text, "state=%d sent_frames=%u lost_frames=%u sent_messages=%u queued=%zu token=%s all=%d heard=",
        c->state, c->sent_frames, c->lost_frames, c->sent_messages, queued, c->token, c->subscribed_all);
    for (int i = 0; i < c->subscribed_count && n < (int)sizeof text - MAX_UID; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s,", c->subscribed[i]);
    pthread_mutex_unlock(&c->lock);
    sendto(c->socket, text, (size_t)n, 0, (const struct sockaddr *)to, size);
}

static void receive(conn *c, unsigned char *datagram, size_t size, const struct sockaddr_un *from, socklen_t from_size)
{
    datagram[size] = 0;
    const char *uid = (const char *)datagram + 1;
    size_t head = 1 + strlen(uid) + 1;
    if (head > size)
        return;
    const unsigned char *data = datagram + head;
    size_t length = size - head;
    if (datagram[0] == 'X' || datagram[0] == 'Q') {
        if (datagram[0] == 'X')
            obey(c, (const char *)data);
        answer_query(c, from, from_size);
        return;
    }
    if (c->away)
        return;
    pthread_mutex_lock(&c->lock);
    int is_heard = c->subscribed_all || find(c->subscribed, c->subscribed_count, uid) >= 0;
    pthread_mutex_unlock(&c->lock);
    int32_t rate;
    switch (datagram[0]) {
    case 'J':
        member_is_here(c, uid);
        send_to(c, uid, 'H', NULL, 0);
        break;
    case 'H': member_is_here(c, uid); break;
    case 'L': member_is_gone(c, uid, length ? data[0] : QUIT); break;
    case 'M': tell_message(c, uid, data, length); break;
    case 'A':
        if (is_heard && length > sizeof rate) {
            memcpy(&rate, data, sizeof rate);
            tell_frame(c, uid, rate, data + sizeof rate, length - sizeof rate);
        }
        break;
    }
}

/* Drains the socket, whose queue is short, whatever the callbacks do meanwhile. */
static void *receive_all(void *of)
{
    conn *c = of;
    unsigned char datagram[MAX_DATAGRAM + 1];
    while (!c->leaving) {
        struct pollfd readable = {.fd = c->socket, .events = POLLIN};
        if (poll(&readable, 1, -1) <= 0 || c->leaving)
            continue;
        struct sockaddr_un from;
        socklen_t from_size = sizeof from;
        ssize_t size = recvfrom(c->socket, datagram, MAX_DATAGRAM, 0, (struct sockaddr *)&from, &from_size);
        if (size > 1)
            receive(c, datagram, (size_t)size, &from, from_size);
    }
    return NULL;
}

/* The next 10 ms of what is published; 0 if less waits. */
static size_t take_frame(conn *c, unsigned char *to, int32_t *rate)
{
    track *t = c->published;
    if (!t || !t->enabled)
        return 0;
    sender *s = t->from;
    pthread_mutex_lock(&s->lock);
    size_t size = (size_t)(s->rate / 1000 * FRAME_MS * 2 * (s->channels ? s->channels : 1));
    if (!size || s->size < size || size > 4096) {
        size = 0;
    } else {
        memcpy(to, s->pcm, size);
        memmove(s->pcm, s->pcm + size, s->size - size);
        s->size -= size;
        *rate = s->rate;
    }
    pthread_mutex_unlock(&s->lock);
    return size;
}

/* Sends a frame each 10 ms while there are any, and looks now and then who is still there. */
static void *send_all(void *of)
{
    conn *c = of;
    unsigned char datagram[4 + 4096];
    int64_t due = now_ms(), sweep = due + SWEEP_MS;
    while (!c->leaving) {
        int32_t rate = 0;
        pthread_mutex_lock(&c->lock);
        size_t size = c->under_way = now_ms() >= due ? take_frame(c, datagram + 4, &rate) : 0;
        pthread_mutex_unlock(&c->lock);
        if (size) {
            memcpy(datagram, &rate, 4);
            int64_t now = now_ms();
            due = due < now - 100 ? now + FRAME_MS : due + FRAME_MS;
            c->sent_frames++;
            if (c->lose_every && c->sent_frames % (unsigned)c->lose_every == 0)
                c->lost_frames++;
            else
                send_to_all(c, 'A', datagram, 4 + size);
            continue;
        }
        if (now_ms() >= sweep) {
            sweep = now_ms() + SWEEP_MS;
            send_to_all(c, 'K', NULL, 0);
        }
        pthread_mutex_lock(&c->lock);
        int64_t wake = now_ms() + FRAME_MS;
        int waits = waiting_to_be_sent(c) > 0;
        if (!c->leaving)
            wait_until(&c->to_send, &c->lock, waits ? (due > now_ms() ? due : wake) : sweep);
        pthread_mutex_unlock(&c->lock);
    }
    return NULL;
}

static int open_socket(conn *c)
{
    uint64_t hash = 1469598103934665603ULL;
    for (const char *p = c->channel; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 1099511628211ULL;
    struct sockaddr_un own;
    snprintf(c->folder, sizeof c->folder, "%.*s/%016llx", (int)sizeof c->folder - 20, wish("DIR"), (unsigned long long)hash);
    mkdir(c->folder, 0700);
    if (!address_of(c->folder, c->uid, &own)) {
        fprintf(stderr, "loopback: AGORA_LOOPBACK_DIR is too long for the name of a socket\n");
        return 0;
    }
    c->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_usec = 200000};
    setsockopt(c->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!access(own.sun_path, F_OK)) {
        /* Whoever came first with this uid has to go. */
        char kick[32];
        snprintf(kick, sizeof kick, "disconnected %d", SAME_UID_LOGIN);
        send_to(c, c->uid, 'X', kick, strlen(kick));
        unlink(own.sun_path);
    }
    copy(c->path, sizeof c->path, own.sun_path);
    if (bind(c->socket, (struct sockaddr *)&own, sizeof own) == 0)
        return 1;
    close(c->socket);
    return 0;
}

static void announce(conn *c)
{
    DIR *folder = opendir(c->folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, c->uid) && !send_to(c, entry->d_name, 'J', NULL, 0)) {
            struct sockaddr_un dead;
            if (address_of(c->folder, entry->d_name, &dead))
                unlink(dead.sun_path);
        }
    if (folder)
        closedir(folder);
}

static void leave(conn *c)
{
    if (!c->has_threads)
        return;
    /* Whoever was sent away has no place any more: another may have it. */
    if (!c->away || c->state != DISCONNECTED)
        unlink(c->path);
    send_to_all(c, 'L', "\0", 1);
    pthread_mutex_lock(&c->lock);
    c->leaving = 1;
    pthread_cond_broadcast(&c->to_send);
    pthread_mutex_unlock(&c->lock);
    shutdown(c->socket, SHUT_RD); /* wakes the thread that waits for it */
    pthread_join(c->receiving, NULL);
    pthread_join(c->sending, NULL);
    close(c->socket);
    c->has_threads = c->leaving = c->member_count = c->subscribed_count = c->subscribed_all = 0;
}

/* ---- the service --------------------------------------------------------------------------------------------- */

EXPORT void *agora_service_create(void)
{
    ENTER;
    return &a_handle;
}

EXPORT int agora_service_initialize(void *service, const service_config *config)
{
    ENTER;
    (void)service;
    if (*wish("INITIALIZE"))
        return atoi(wish("INITIALIZE"));
    if (!config->app_id || !*config->app_id || config->use_string_uid || config->enable_audio_device)
        return -2;
    pthread_mutex_lock(&service_lock);
    int result = service_runs ? -1 : 0; /* one a process */
    service_runs = 1;
    pthread_mutex_unlock(&service_lock);
    return result;
}

EXPORT int agora_service_set_log_file(void *service, const char *path, unsigned size)
{
    ENTER;
    (void)service, (void)size;
    FILE *log = fopen(path, "a");
    if (!log)
        return -1;
    fprintf(log, "loopback\n");
    return fclose(log);
}

EXPORT int agora_service_release(void *service)
{
    ENTER;
    (void)service;
    if (alive) {
        fprintf(stderr, "loopback: the service was released while %d of its objects were in use\n", alive);
        abort();
    }
    pthread_mutex_lock(&service_lock);
    service_runs = 0;
    pthread_mutex_unlock(&service_lock);
    return 0;
}

EXPORT void *agora_service_get_agora_parameter(void *service) { ENTER; return *wish("PARAMETER") ? NULL : service; }
EXPORT void *agora_service_create_media_node_factory(void *service) { ENTER; (void)service; return made(malloc(1)); }
EXPORT int agora_media_node_factory_destroy(void *factory) { ENTER; given_back(factory); return 0; }

EXPORT void *agora_media_node_factory_create_audio_pcm_data_sender(void *factory)
{
    ENTER;
    (void)factory;
    sender *s = calloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    return made(s);
}

EXPORT int agora_audio_pcm_data_sender_destroy(void *of)
{
    ENTER;
    sender *s = of;
    free(s->pcm);
    given_back(s);
    return 0;
}

EXPORT int agora_audio_pcm_data_sender_send(
    void *of, const void *pcm, unsigned timestamp, unsigned samples, unsigned bytes_per_sample, unsigned channels, unsigned rate)
{
    ENTER;
    (void)timestamp;
    sender *s = of;
    size_t size = (size_t)samples * bytes_per_sample * channels;
    if (*wish("SEND"))
        return atoi(wish("SEND"));
    /* Whole stretches of 10 ms only. */
    if (bytes_per_sample != 2 || !channels || !samples || samples % (rate / 1000 * FRAME_MS))
        return -2;
    pthread_mutex_lock(&s->lock);
    s->rate = (int)rate;
    s->channels = (int)channels;
    int result = 0;
    if (s->size + size > rate / 1000 * MAX_QUEUED_MS * 2 * channels) {
        result = -1;
    } else {
        if (s->size + size > s->room)
            s->pcm = realloc(s->pcm, s->room = 2 * (s->size + size));
        memcpy(s->pcm + s->size, pcm, size);
        s->size += size;
    }
    conn *to = s->to;
    pthread_mutex_unlock(&s->lock);
    if (to) {
        pthread_mutex_lock(&to->lock);
        pthread_cond_signal(&to->to_send);
        pthread_mutex_unlock(&to->lock);
    }
    return result;
}

EXPORT void *agora_service_create_custom_audio_track_pcm(void *service, void *from)
{
    ENTER;
    (void)service;
    if (*wish("TRACK"))
        return NULL;
    track *t = calloc(1, sizeof *t);
    t->from = from;
    return made(t);
}

EXPORT int agora_local_audio_track_set_enabled(void *of, int enabled) { ENTER; ((track *)of)->enabled = enabled; return 0; }
EXPORT void agora_local_audio_track_destroy(void *of) { ENTER; given_back(of); }

EXPORT int agora_local_audio_track_clear_sender_buffer(void *of)
{
    ENTER;
    sender *s = ((track *)of)->from;
    pthread_mutex_lock(&s->lock);
    s->size = 0;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* ---- a connection -------------------------------------------------------------------------------------------- */

EXPORT void *agora_rtc_conn_create(void *service, const void *config)
{
    ENTER;
    (void)service, (void)config;
    conn *c = calloc(1, sizeof *c);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->telling, NULL);
    pthread_cond_init(&c->changed, &monotonic);
    pthread_cond_init(&c->to_send, &monotonic);
    c->state = DISCONNECTED;
    c->has_caller = !pthread_create(&c->calling, NULL, call_observers, c);
    return made(c);
}

EXPORT void *agora_rtc_conn_get_local_user(void *of) { ENTER; return of; }
EXPORT void *agora_rtc_conn_get_agora_parameter(void *of) { ENTER; return of; }

EXPORT int agora_rtc_conn_connect(void *of, const char *token, const char *channel, const char *uid)
{
    ENTER;
    conn *c = of;
    const char *how = wish("CONNECT");
    int number = atoi(strchr(how, ':') ? strchr(how, ':') + 1 : "0");
    if (!strncmp(how, "error:", 6))
        return number;
    if (c->state != DISCONNECTED)
        return -8;
    copy(c->token, sizeof c->token, token);
    copy(c->channel, sizeof c->channel, channel);
    copy(c->uid, sizeof c->uid, uid);
    c->state = CONNECTING;
    tell_state(c, ON_CONNECTING, CONNECTING, 0);
    if (!strcmp(how, "silent"))
        return 0;
    if (!strncmp(how, "refuse:", 7)) {
        c->state = FAILED;
        tell_state(c, ON_FAILURE, FAILED, number);
        return 0;
    }
    if (!open_socket(c)) {
        c->state = FAILED;
        tell_state(c, ON_FAILURE, FAILED, 4);
        return 0;
    }
    c->away = 0;
    c->state = CONNECTED;
    for (int times = strcmp(how, "twice") ? 1 : 2; times--;)
        tell_state(c, ON_CONNECTED, CONNECTED, JOIN_SUCCESS);
    announce(c);
    pthread_create(&c->receiving, NULL, receive_all, c);
    pthread_create(&c->sending, NULL, send_all, c);
    c->has_threads = 1;
    return 0;
}

EXPORT int agora_rtc_conn_disconnect(void *of)
{
    ENTER;
    conn *c = of;
    if (!strcmp(wish("DISCONNECT"), "noisy"))
        tell_state(c, ON_RECONNECTING, RECONNECTING, INTERRUPTED);
    leave(c);
    c->state = DISCONNECTED;
    if (strcmp(wish("DISCONNECT"), "silent"))
        tell_state(c, ON_DISCONNECTED, DISCONNECTED, LEAVE_CHANNEL);
    return 0;
}

EXPORT void agora_rtc_conn_destroy(void *of)
{
    ENTER;
    conn *c = of;
    leave(c);
    usleep((useconds_t)atoi(wish("DESTROY")) * 1000);
    pthread_mutex_lock(&c->lock);
    c->closing = 1;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (c->has_caller)
        pthread_join(c->calling, NULL);
    for (event *e = c->first, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    /* Whose observers are still there may be called, or is kept from being collected. */
    if (c->conn_observer[0] || c->user_observer[0] || c->audio_observer[0] || c->published)
        made(NULL);
    given_back(c);
}

EXPORT int agora_rtc_conn_renew_token(void *of, const char *token)
{
    ENTER;
    conn *c = of;
    if (*wish("RENEW"))
        return atoi(wish("RENEW"));
    pthread_mutex_lock(&c->lock);
    copy(c->token, sizeof c->token, token);
    pthread_mutex_unlock(&c->lock);
    return 0;
}

EXPORT int agora_rtc_conn_create_data_stream(void *of, int *stream, int reliable, int ordered)
{
    ENTER;
    (void)reliable, (void)ordered;
    if (*wish("STREAM"))
        return atoi(wish("STREAM"));
    *stream = ++((conn *)of)->streams;
    return 0;
}

EXPORT int agora_rtc_conn_send_stream_message(void *of, int stream, const char *data, unsigned size)
{
    ENTER;
    conn *c = of;
    if (c->state != CONNECTED)
        return -7;
    if (size > MAX_MESSAGE || stream < 1 || stream > c->streams)
        return -2;
    c->sent_messages++;
    send_to_all(c, 'M', data, size);
    return 0;
}

/* An observer that is taken away is not called any more once this returns. */
static int observe(conn *c, void **slots, void *const *observer, int count)
{
    pthread_mutex_lock(&c->telling);
    for (int i = 0; i < count; i++)
        slots[i] = observer ? observer[i] : NULL;
    pthread_mutex_unlock(&c->telling);
    return 0;
}

EXPORT int agora_rtc_conn_register_observer(void *of, void *const *o) { ENTER; return observe(of, ((conn *)of)->conn_observer, o, CONN_SLOTS); }
EXPORT int agora_rtc_conn_unregister_observer(void *of) { ENTER; return observe(of, ((conn *)of)->conn_observer, NULL, CONN_SLOTS); }
EXPORT int agora_local_user_register_observer(void *of, void *const *o) { ENTER; return observe(of, ((conn *)of)->user_observer, o, USER_SLOTS); }
EXPORT int agora_local_user_unregister_observer(void *of) { ENTER; return observe(of, ((conn *)of)->user_observer, NULL, USER_SLOTS); }
EXPORT int agora_local_user_register_audio_frame_observer(void *of, void *const *o) { ENTER; return observe(of, ((conn *)of)->audio_observer, o, AUDIO_SLOTS); }
EXPORT int agora_local_user_unregister_audio_frame_observer(void *of) { ENTER; return observe(of, ((conn *)of)->audio_observer, NULL, AUDIO_SLOTS); }

static int publish(conn *c, track *t, int is_published)
{
    pthread_mutex_lock(&c->lock);
    c->published = is_published ? t : NULL;
    pthread_mutex_lock(&t->from->lock);
    t->from->to = is_published ? c : NULL;
    pthread_mutex_unlock(&t->from->lock);
    pthread_mutex_unlock(&c->lock);
    return 0;
}

EXPORT int agora_local_user_publish_audio(void *of, void *t) { ENTER; return publish(of, t, 1); }
EXPORT int agora_local_user_unpublish_audio(void *of, void *t) { ENTER; return publish(of, t, 0); }

EXPORT int agora_local_user_subscribe_audio(void *of, const char *uid)
{
    ENTER;
    conn *c = of;
    if (*wish("SUBSCRIBE"))
        return atoi(wish("SUBSCRIBE"));
    pthread_mutex_lock(&c->lock);
    add(c->subscribed, &c->subscribed_count, uid);
    int is_here = find(c->members, c->member_count, uid) >= 0;
    pthread_mutex_unlock(&c->lock);
    if (is_here)
        tell_subscribed(c, uid, 3);
    return 0;
}

EXPORT int agora_local_user_unsubscribe_audio(void *of, const char *uid)
{
    ENTER;
    conn *c = of;
    pthread_mutex_lock(&c->lock);
    take_out(c->subscribed, &c->subscribed_count, uid);
    pthread_mutex_unlock(&c->lock);
    tell_subscribed(c, uid, 1);
    return 0;
}

EXPORT int agora_local_user_subscribe_all_audio(void *of) { ENTER; ((conn *)of)->subscribed_all = 1; return 0; }
EXPORT int agora_local_user_unsubscribe_all_audio(void *of) { ENTER; ((conn *)of)->subscribed_all = 0; return 0; }

/* ---- for tests ----------------------------------------------------------------------------------------------- */

EXPORT int loopback_alive(void)
{
    return alive;
}

EXPORT size_t loopback_sizeof(const char *name)
{
    if (!strcmp(name, "AudioFrameInner"))
        return sizeof(audio_frame);
    if (!strcmp(name, "RTCConnInfoInner"))
        return sizeof(conn_info);
    if (!strcmp(name, "AgoraServiceConfigInner"))
        return sizeof(service_config);
    if (!strcmp(name, "RTCConnectionObserverInner"))
        return CONN_SLOTS * sizeof(void *);
    if (!strcmp(name, "RTCLocalUserObserverInner"))
        return USER_SLOTS * sizeof(void *);
    if (!strcmp(name, "AudioFrameObserverInner"))
        return AUDIO_SLOTS * sizeof(void *);
    return 0;
}
